package vfs

// coldOpener is a file system that can read around its cache.
type coldOpener interface {
	openCold(name string) (File, error)
}

// OpenCold opens an existing file to be read once, front to back, in large
// pieces. Where the file system can do so the reads come from the disk, not from
// the operating system's cache, and leave that as it is: what is read tells what
// the disk holds, and nothing that others need is evicted for it.
func OpenCold(fsys FS, name string) (File, error) {
	if c, ok := fsys.(coldOpener); ok {
		return c.openCold(name)
	}
	return fsys.Open(name)
}
