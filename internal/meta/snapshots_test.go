package meta

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// TestSnapshotsAreChecked flips a bit of each byte of a snapshot's files: it says the same
// as before, or the store is refused. Raft's own store believes whatever the
// description says about who votes.
func TestSnapshotsAreChecked(t *testing.T) {
	t.Parallel()
	r := &Raft{o: Options{Dir: t.TempDir()}.withDefaults()}
	store, err := r.openSnapshots()
	if err != nil {
		t.Fatal(err)
	}
	voters := raft.Configuration{Servers: []raft.Server{{ID: "1", Address: "a"}, {ID: "2", Address: "b"}, {ID: "3", Address: "c"}}}
	_, transport := raft.NewInmemTransport("a")
	defer transport.Close()
	sink, err := store.Create(raft.SnapshotVersionMax, 7, 2, voters, 1, transport)
	if err != nil {
		t.Fatal(err)
	}
	if err := (imageSnapshot{img: cluster.NewImage()}).Persist(sink); err != nil {
		t.Fatal(err)
	}
	want, err := store.List()
	if err != nil || len(want) != 1 {
		t.Fatal(want, err)
	}
	dir := filepath.Join(store.dir, want[0].ID)
	for _, name := range []string{"meta.json", "state.bin", sumFile} {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range content {
			bit := rand.IntN(8)
			bad := bytes.Clone(content)
			bad[at] ^= 1 << bit
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := same(r, want); err != nil {
				t.Errorf("%s, bit %d of byte %d (%q): %v", name, bit, at, content[at], err)
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := r.openSnapshots(); err != nil {
		t.Error(err)
	} else if got, err := again.List(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("undamaged: %v, %v", got, err)
	}
}

// same opens the snapshots of a directory.
func same(r *Raft, want []*raft.SnapshotMeta) error {
	store, err := r.openSnapshots()
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	got, err := store.List()
	if err == nil && !reflect.DeepEqual(got, want) {
		err = fmt.Errorf("it says %+v", got)
	}
	return err
}

// TestMissingPartsAreNoticed: a log that begins behind the latest snapshot, and a
// voter that has a term and nothing else.
func TestMissingPartsAreNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		entries  uint64
		cut      uint64 // entries from the beginning
		snapshot uint64
		joining  bool
		damaged  bool
	}{
		{name: "new", joining: true},
		{name: "entries", entries: 9},
		{name: "entries behind a snapshot", entries: 9, cut: 4, snapshot: 4},
		{name: "entries overlap a snapshot", entries: 9, cut: 2, snapshot: 4},
		{name: "snapshot only", snapshot: 4},
		{name: "snapshot is gone", entries: 9, cut: 4, damaged: true},
		{name: "an older snapshot", entries: 9, cut: 4, snapshot: 3, damaged: true},
		{name: "nothing left", damaged: true},
	} {
		r := &Raft{o: Options{Dir: t.TempDir(), Self: 1, Peers: []Peer{{ID: 1, Addr: "a"}}}.withDefaults()}
		log, err := r.openLog()
		if err != nil {
			t.Fatal(err)
		}
		fail := func(err error) {
			if err != nil {
				t.Fatal(tt.name, err)
			}
		}
		logs := &guardedStore{store: log, after: r.o.StuckAfter, fail: fail, stored: newStored()}
		fail(logs.SetUint64(currentTerm, 1))
		for i := range tt.entries {
			fail(logs.StoreLog(&raft.Log{Index: i + 1, Term: 1}))
		}
		if tt.cut > 0 {
			fail(logs.DeleteRange(1, tt.cut))
		}
		if tt.joining {
			fail(vfs.WriteFileAtomic(r.o.FS, r.joiningFile(), nil))
		}
		snapshots := raft.NewInmemSnapshotStore()
		if tt.snapshot > 0 {
			sink, err := snapshots.Create(1, tt.snapshot, 1, raft.Configuration{}, 1, nil)
			fail(err)
			fail(sink.Close())
		}
		if err := r.checkWhole(logs, snapshots); errors.Is(err, ErrDamaged) != tt.damaged {
			t.Errorf("%s: %v", tt.name, err)
		}
		fail(log.Close())
	}
}
