package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// templates are images of empty file systems, by size and place: making a file
// system takes longer than copying one.
var templates struct {
	sync.Mutex
	images map[templateKey]*os.File
}

type templateKey struct {
	in    string
	bytes int64
}

// newImage returns an image with an empty ext4. It has no name, so it is gone
// when its last user is.
func newImage(in string, bytes int64) (*os.File, error) {
	template, err := templateOf(in, bytes)
	if err != nil {
		return nil, err
	}
	image, err := os.OpenFile(in, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := copyData(image, template); err != nil {
		return nil, errors.Join(err, image.Close())
	}
	return image, nil
}

func templateOf(in string, bytes int64) (*os.File, error) {
	templates.Lock()
	defer templates.Unlock()
	key := templateKey{in: in, bytes: bytes}
	if f := templates.images[key]; f != nil {
		return f, nil
	}
	f, err := makeTemplate(in, bytes)
	if err != nil {
		return nil, err
	}
	if templates.images == nil {
		templates.images = map[templateKey]*os.File{}
	}
	templates.images[key] = f
	return f, nil
}

// makeTemplate makes the file system complete at once, so that no kernel thread
// writes behind the back of a test, and without blocks reserved for root, so
// that a full disk is full.
func makeTemplate(in string, bytes int64) (*os.File, error) {
	dir, err := os.MkdirTemp(in, "chronik-mkfs-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "image")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(bytes); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	mkfs := exec.CommandContext(context.Background(), "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0",
		"-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("mkfs.ext4: %w\n%s", err, out), f.Close())
	}
	return f, nil
}

// copyData copies a file and leaves its holes out. dst is empty.
func copyData(dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for off := int64(0); ; {
		start, err := unix.Seek(int(src.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(src.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := copyRange(dst, src, start, end, buf); err != nil {
			return err
		}
		off = end
	}
}

// copyRange copies the bytes of [start, end) that src has.
func copyRange(dst io.WriterAt, src io.ReaderAt, start, end int64, buf []byte) error {
	for start < end {
		n, err := src.ReadAt(buf[:min(end-start, int64(len(buf)))], start)
		if n == 0 {
			return ignoreEOF(err)
		}
		if _, err := dst.WriteAt(buf[:n], start); err != nil {
			return err
		}
		start += int64(n)
	}
	return nil
}
