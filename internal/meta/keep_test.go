package meta

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// hangingDisk takes a minute to sync a directory.
type hangingDisk struct{ vfs.FS }

func (d hangingDisk) SyncDir(dir string) error {
	time.Sleep(time.Minute)
	return d.FS.SyncDir(dir)
}

// TestTheClusterIDIsWatched: a disk that hangs when the cluster's id is written ends
// the process, as one does that hangs in the log.
func TestTheClusterIDIsWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		if err := vfs.MkdirAllSync(disk, "raft"); err != nil {
			t.Fatal(err)
		}
		r := &Raft{o: Options{Dir: "raft", FS: hangingDisk{disk}}.withDefaults(), board: newBoard()}
		img, res := cluster.Apply(r.board.image(), 1, cluster.InitCluster{ClusterID: "some"})
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		r.board.setImage(img)
		began, reported := time.Now(), make(chan error, 1)
		logs := &guardedStore{
			store: &slowStore{InmemStore: raft.NewInmemStore()}, after: r.o.StuckAfter, stored: newStored(),
			fail: func(err error) { reported <- err },
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.keep(ctx, logs) }()
		select {
		case err := <-reported:
			if took := time.Since(began); !errors.Is(err, ErrStuck) || took != r.o.StuckAfter {
				t.Errorf("reported %v after %v, want %v after %v", err, took, ErrStuck, r.o.StuckAfter)
			}
		case <-time.After(2 * time.Minute):
			t.Error("not reported")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
