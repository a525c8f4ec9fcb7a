package sim

import (
	"sync"

	"github.com/chronik-project/chronik/internal/vfs"
)

// slowDisk lets syncs wait for as long as a schedule likes.
type slowDisk struct {
	*vfs.Mem
	mu   sync.Mutex
	open chan struct{} // guarded by mu; closed while syncs pass
}

func newSlowDisk(disk *vfs.Mem) *slowDisk {
	s := &slowDisk{Mem: disk, open: make(chan struct{})}
	close(s.open)
	return s
}

// shut holds the syncs that begin from now on.
func (s *slowDisk) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.open:
		s.open = make(chan struct{})
	default:
	}
}

// release lets all syncs pass.
func (s *slowDisk) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.open:
	default:
		close(s.open)
	}
}

func (s *slowDisk) wait() {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	<-open
}

func (s *slowDisk) OpenWrite(name string) (vfs.File, error) { return s.wrap(s.Mem.OpenWrite(name)) }
func (s *slowDisk) Create(name string) (vfs.File, error)    { return s.wrap(s.Mem.Create(name)) }

func (s *slowDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, s}, nil
}

type slowFile struct {
	vfs.File
	disk *slowDisk
}

func (f slowFile) Sync() error {
	f.disk.wait()
	return f.File.Sync()
}
