package meta

import (
	"testing"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/vfs"
)

func TestLogBelowASnapshotIsCleared(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		last     uint64 // of the log, which starts at 1
		snapshot uint64
		next     uint64 // what can be appended afterwards
	}{
		{name: "no snapshot", last: 3, next: 4},
		{name: "empty", next: 1},
		{name: "empty log", snapshot: 9, next: 10},
		{name: "log ends before the snapshot", last: 3, snapshot: 9, next: 10},
		{name: "log ends with the snapshot", last: 9, snapshot: 9, next: 10},
		{name: "log ends after the snapshot", last: 12, snapshot: 9, next: 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &Raft{o: Options{Dir: t.TempDir(), FS: vfs.OS()}.withDefaults()}
			logs, err := r.openLog()
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			for i := range tt.last {
				if err := logs.StoreLog(&raft.Log{Index: i + 1, Term: 1}); err != nil {
					t.Fatal(err)
				}
			}
			snapshots := raft.NewInmemSnapshotStore()
			if tt.snapshot > 0 {
				sink, err := snapshots.Create(1, tt.snapshot, 1, raft.Configuration{}, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				sink.Close()
			}
			if err := dropCovered(logs, snapshots); err != nil {
				t.Fatal(err)
			}
			if err := logs.StoreLog(&raft.Log{Index: tt.next, Term: 1}); err != nil {
				t.Error(err)
			}
		})
	}
}
