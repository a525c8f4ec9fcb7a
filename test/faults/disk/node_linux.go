package disk

import (
	"context"
	"path"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory of a Faulty disk. It passes everything on to
// the directory behind it, after the rules have had their say, and tells the
// shadow.
type node struct {
	*fs.LoopbackNode
	disk *Faulty
	// inode is the shadow's, nil until the node has been looked up, and always
	// if the disk has no shadow.
	inode atomic.Pointer[inode]
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeSymlinker      = (*node)(nil)
	_ fs.NodeMknoder        = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
)

// name is the path below the root, of the node itself or of a name in it.
func (n *node) name(elem ...string) string {
	return path.Join(append([]string{n.Path(n.Root())}, elem...)...)
}

// WrapChild implements [fs.NodeWrapChilder].
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	loopback, ok := ops.(*fs.LoopbackNode)
	if !ok {
		return ops
	}
	return &node{LoopbackNode: loopback, disk: n.disk}
}

// bind tells a child which inode of the shadow it is.
func (n *node) bind(child *fs.Inode, i *inode) {
	if c, ok := child.Operations().(*node); ok && i != nil {
		c.inode.CompareAndSwap(nil, i)
	}
}

// Lookup implements [fs.NodeLookuper].
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child, errno := n.LoopbackNode.Lookup(ctx, name, out)
	if errno == 0 && n.disk.shadow != nil {
		n.bind(child, n.disk.shadow.child(n.inode.Load(), name))
	}
	return child, errno
}

// readable lets the shadow read what is opened for writing.
func readable(flags uint32) uint32 {
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		flags = flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

// Open implements [fs.NodeOpener].
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	name := n.name()
	if errno := n.disk.simple(ctx, OpOpen, name); errno != 0 {
		return nil, 0, errno
	}
	f, fuseFlags, errno := n.LoopbackNode.Open(ctx, readable(flags))
	return n.handle(f, name), fuseFlags, n.disk.done(ctx, errno)
}

// Create implements [fs.NodeCreater].
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.simple(ctx, OpCreate, n.name(name)); errno != 0 {
		return nil, nil, 0, errno
	}
	child, f, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, readable(flags), mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	if s := n.disk.shadow; s != nil {
		n.bind(child, s.created(n.inode.Load(), name, false))
	}
	c, ok := child.Operations().(*node)
	if !ok {
		return nil, nil, 0, syscall.EIO
	}
	return child, c.handle(f, n.name(name)), fuseFlags, n.disk.done(ctx, 0)
}

// Mkdir implements [fs.NodeMkdirer].
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.disk.simple(ctx, OpMkdir, n.name(name)); errno != 0 {
		return nil, errno
	}
	child, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == 0 && n.disk.shadow != nil {
		n.bind(child, n.disk.shadow.created(n.inode.Load(), name, true))
	}
	return child, n.disk.done(ctx, errno)
}

// Unlink implements [fs.NodeUnlinker].
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, name, n.LoopbackNode.Unlink)
}

// Rmdir implements [fs.NodeRmdirer].
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, name, n.LoopbackNode.Rmdir)
}

func (n *node) remove(ctx context.Context, name string, do func(context.Context, string) syscall.Errno) syscall.Errno {
	if errno := n.disk.simple(ctx, OpRemove, n.name(name)); errno != 0 {
		return errno
	}
	errno := do(ctx, name)
	if errno == 0 && n.disk.shadow != nil {
		n.disk.shadow.removed(n.inode.Load(), name)
	}
	return n.disk.done(ctx, errno)
}

// Rename implements [fs.NodeRenamer]. Names cannot be exchanged.
func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags != 0 {
		return syscall.EINVAL
	}
	if errno := n.disk.simple(ctx, OpRename, to.name(newName)); errno != 0 {
		return errno
	}
	errno := n.LoopbackNode.Rename(ctx, name, newParent, newName, flags)
	if errno == 0 && n.disk.shadow != nil {
		n.disk.shadow.renamed(n.inode.Load(), name, to.inode.Load(), newName)
	}
	return n.disk.done(ctx, errno)
}

// Setattr implements [fs.NodeSetattrer]: a new size is a truncation.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, truncates := in.GetSize()
	if !truncates {
		return n.LoopbackNode.Setattr(ctx, f, in, out)
	}
	if errno := n.disk.simple(ctx, OpTruncate, n.name()); errno != 0 {
		return errno
	}
	errno := n.LoopbackNode.Setattr(ctx, f, in, out)
	if errno == 0 && n.disk.shadow != nil {
		n.disk.shadow.resized(n.inode.Load(), int64(size))
	}
	return n.disk.done(ctx, errno)
}

// Link implements [fs.NodeLinker]: the shadow knows one name for a file.
func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink implements [fs.NodeSymlinker].
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Mknod implements [fs.NodeMknoder].
func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// OpendirHandle implements [fs.NodeOpendirHandler].
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	stream, ok := f.(dirStream)
	if errno != 0 || !ok {
		return f, fuseFlags, errno
	}
	return &dirHandle{dirStream: stream, node: n}, fuseFlags, 0
}

// dirStream is what the loopback's open directories can do.
type dirStream interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// dirHandle is an open directory.
type dirHandle struct {
	dirStream
	node *node
}

var _ fs.FileFsyncdirer = (*dirHandle)(nil)

// Fsyncdir implements [fs.FileFsyncdirer].
func (h *dirHandle) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	d := h.node.disk
	if errno := d.simple(ctx, OpSyncDir, h.node.name()); errno != 0 {
		return errno
	}
	if d.shadow != nil {
		d.shadow.syncedDir(h.node.inode.Load())
	}
	return d.done(ctx, 0)
}

// deleted is how paths of nodes without a name begin.
const deleted = ".go-fuse"

func (n *node) handle(f fs.FileHandle, name string) fs.FileHandle {
	loopback, ok := f.(*fs.LoopbackFile)
	if !ok {
		return f
	}
	return &handle{LoopbackFile: loopback, node: n, opened: name}
}

// name is the file's path, or the one that it was opened under if it is gone.
func (h *handle) name() string {
	if name := h.node.name(); !strings.HasPrefix(name, deleted) {
		return name
	}
	return h.opened
}
