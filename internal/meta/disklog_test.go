package meta

import (
	"testing"

	"github.com/hashicorp/raft"
)

// TestCutLogOpensAgain cuts entries off the log's end, as a member does that
// holds some that another leader never had, and restarts: what was kept must be
// readable. The library's log once sealed the cut file without its index, and
// the member could never start again.
func TestCutLogOpensAgain(t *testing.T) {
	t.Parallel()
	r := &Raft{o: Options{Dir: t.TempDir()}.withDefaults()}
	open := func() *diskLog {
		t.Helper()
		l, err := r.openLog()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if err := l.SetUint64(currentTerm, 2); err != nil {
		t.Fatal(err)
	}
	for index := uint64(1); index <= 4; index++ {
		if err := l.StoreLog(&raft.Log{Index: index, Term: 1, Data: []byte{byte(index)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeleteRange(3, 4); err != nil {
		t.Fatal(err)
	}
	if err := l.StoreLog(&raft.Log{Index: 3, Term: 2, Data: []byte{33}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		for index, want := range map[uint64]byte{1: 1, 2: 2, 3: 33} {
			var got raft.Log
			if err := l.GetLog(index, &got); err != nil || got.Data[0] != want {
				t.Fatalf("entry %d: %v, %v, want %d", index, got.Data, err, want)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
