package meta

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

func entry(t *testing.T, index uint64, cmd cluster.Command) *raft.Log {
	t.Helper()
	data, err := cluster.Encode(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Type: raft.LogCommand, Data: data}
}

func TestFSMAppliesBatches(t *testing.T) {
	t.Parallel()
	f := &fsm{board: newBoard(), fail: func(err error) { t.Error(err) }}
	_, changed := f.board.watch()
	results := f.ApplyBatch([]*raft.Log{
		entry(t, 3, cluster.InitCluster{ClusterID: "c"}),
		{Index: 4, Type: raft.LogConfiguration, Data: []byte("not ours")},
		entry(t, 5, cluster.InitCluster{ClusterID: "d"}),
	})
	if res, ok := results[0].(cluster.Result); !ok || res.Err != nil || res.Index != 3 {
		t.Errorf("first result %+v, want success at 3", results[0])
	}
	if results[1] != nil {
		t.Errorf("the configuration's result is %+v, want none", results[1])
	}
	if res, ok := results[2].(cluster.Result); !ok || !errors.Is(res.Err, cluster.ErrClusterInitialized) {
		t.Errorf("third result %+v, want %v", results[2], cluster.ErrClusterInitialized)
	}
	img, _ := f.board.watch()
	if img.Index() != 5 || img.ClusterID() != "c" {
		t.Errorf("image at %d of cluster %q, want 5 of c", img.Index(), img.ClusterID())
	}
	select {
	case <-changed:
	default:
		t.Error("watchers were not woken")
	}
	_, changed = f.board.watch()
	f.Apply(&raft.Log{Index: 6, Type: raft.LogNoop})
	select {
	case <-changed:
		t.Error("watchers were woken for nothing")
	default:
	}
}

// TestFSMStopsAtWhatItDoesNotKnow: a broker of an older version must not guess.
func TestFSMStopsAtWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	var reports []error
	f := &fsm{board: newBoard(), fail: func(err error) { reports = append(reports, err) }}
	f.Apply(entry(t, 1, cluster.InitCluster{ClusterID: "c"}))
	bad := &raft.Log{Index: 2, Type: raft.LogCommand, Data: []byte(`{"v":2,"type":"from_the_future","command":{}}`)}
	for range 2 {
		if res, ok := f.Apply(bad).(cluster.Result); !ok || !errors.Is(res.Err, ErrStuck) {
			t.Errorf("result %+v, want %v", res, ErrStuck)
		}
	}
	if res, ok := f.Apply(entry(t, 3, cluster.RegisterBroker{Broker: cluster.Broker{Incarnation: cluster.UUID{1}}})).(cluster.Result); !ok || !errors.Is(res.Err, ErrStuck) {
		t.Errorf("afterwards %+v, want %v", res, ErrStuck)
	}
	if len(reports) != 1 || !errors.Is(reports[0], ErrStuck) {
		t.Errorf("reports %v, want one", reports)
	}
	if img := f.board.image(); img.Index() != 1 || len(img.Brokers()) != 0 {
		t.Errorf("the image went on to %d", img.Index())
	}
	if _, err := f.Snapshot(); !errors.Is(err, ErrStuck) {
		t.Errorf("snapshot: error %v, want %v", err, ErrStuck)
	}
}

// sink is a snapshot in memory.
type sink struct {
	bytes.Buffer
	fail             error
	closed, canceled bool
}

func (s *sink) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return s.Buffer.Write(p)
}
func (s *sink) ID() string    { return "test" }
func (s *sink) Close() error  { s.closed = true; return nil }
func (s *sink) Cancel() error { s.canceled = true; return nil }

func TestFSMSnapshots(t *testing.T) {
	t.Parallel()
	f := &fsm{board: newBoard(), fail: func(err error) { t.Error(err) }}
	f.Apply(entry(t, 7, cluster.InitCluster{ClusterID: "c"}))
	snap, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	f.Apply(entry(t, 8, cluster.RegisterBroker{Broker: cluster.Broker{Incarnation: cluster.UUID{1}}}))
	var s sink
	if err := snap.Persist(&s); err != nil || !s.closed || s.canceled {
		t.Fatalf("persist: error %v, closed %v, canceled %v", err, s.closed, s.canceled)
	}
	snap.Release()
	if err := f.Restore(io.NopCloser(&s.Buffer)); err != nil {
		t.Fatal(err)
	}
	if img := f.board.image(); img.Index() != 7 || img.ClusterID() != "c" || len(img.Brokers()) != 0 {
		t.Errorf("restored %d of %q with %d brokers, want 7 of c with none", img.Index(), img.ClusterID(), len(img.Brokers()))
	}
	if err := f.Restore(io.NopCloser(bytes.NewReader([]byte("{")))); err == nil {
		t.Error("restored from half a snapshot")
	}
	full := &sink{fail: errors.New("disk full")}
	if err := snap.Persist(full); !errors.Is(err, full.fail) || !full.canceled || full.closed {
		t.Errorf("persist to a full disk: error %v, canceled %v, closed %v", err, full.canceled, full.closed)
	}
}
