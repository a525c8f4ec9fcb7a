package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	reopen := func(clean, wantUnclean bool, do func(*dataDir)) cluster.UUID {
		t.Helper()
		d, unclean, err := openDataDir(disk, "data", 1)
		if err != nil {
			t.Fatal(err)
		}
		if unclean != wantUnclean {
			t.Errorf("unclean %v, want %v", unclean, wantUnclean)
		}
		if do != nil {
			do(d)
		}
		id := d.directory()
		if err := d.close(clean); err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := reopen(true, false, func(d *dataDir) {
		if err := d.adopt("a"); err != nil {
			t.Error(err)
		}
	})
	if again := reopen(false, false, nil); again != first {
		t.Errorf("directory %s became %s", first, again)
	}
	renewed := reopen(true, true, func(d *dataDir) {
		if err := d.renew(); err != nil {
			t.Error(err)
		}
	})
	if renewed == first {
		t.Error("a renewed directory has the same id")
	}
	if again := reopen(true, false, func(d *dataDir) {
		if d.clusterID() != "a" || d.adopt("a") != nil || d.adopt("b") == nil {
			t.Errorf("cluster id %q, or it may change", d.clusterID())
		}
	}); again != renewed {
		t.Errorf("renewed directory %s became %s", renewed, again)
	}
}

// TestFailedStartIsNoUncleanShutdown: a configuration mistake must not cost the
// broker its place in the in-sync sets.
func TestFailedStartIsNoUncleanShutdown(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	blocked := filepath.Join(t.TempDir(), "file")
	write(t, blocked, "x")
	err := Run(t.Context(), Config{
		DataDir: dir, MetadataDir: filepath.Join(blocked, "raft"),
		Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", HTTPListen: HTTPOff, WALFileBytes: 2 << 20,
	})
	if err == nil {
		t.Fatal("started without a metadata log")
	}
	d, unclean, err := openDataDir(vfs.OS(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if unclean {
		t.Error("the next start calls the last shutdown unclean")
	}
	if err := d.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedLogRenewsTheDirectory loses the write-ahead log: what was in it
// cannot be told, so the directory is another one to the cluster.
func TestDamagedLogRenewsTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := func() cluster.UUID {
		d, _, err := openDataDir(vfs.OS(), dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.close(true); err != nil {
				t.Error(err)
			}
		}()
		return d.directory()
	}
	b := startBroker(t, Config{DataDir: dir})
	produce(t, b.clients, 10)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	before := id()
	if err := os.RemoveAll(filepath.Join(dir, "wal")); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, Config{DataDir: dir})
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if id() == before {
		t.Error("a directory that lost its log has the same id")
	}
}
