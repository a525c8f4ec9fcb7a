package meta

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// slowStore takes its time over every write, and may fail.
type slowStore struct {
	*raft.InmemStore
	takes time.Duration
	err   error
}

func (s *slowStore) work() error {
	wait(s.takes)
	return s.err
}

func (s *slowStore) IsMonotonic() bool                  { return true }
func (s *slowStore) StoreLogs([]*raft.Log) error        { return s.work() }
func (s *slowStore) DeleteRange(_, _ uint64) error      { return s.work() }
func (s *slowStore) Set(_, _ []byte) error              { return s.work() }
func (s *slowStore) SetUint64(_ []byte, _ uint64) error { return s.work() }

func TestGuardReports(t *testing.T) {
	t.Parallel()
	writes := []struct {
		name  string
		write func(g *guardedStore) error
	}{
		{name: "one entry", write: func(g *guardedStore) error { return g.StoreLog(&raft.Log{}) }},
		{name: "entries", write: func(g *guardedStore) error { return g.StoreLogs(nil) }},
		{name: "a cut", write: func(g *guardedStore) error { return g.DeleteRange(1, 2) }},
		{name: "a vote", write: func(g *guardedStore) error { return g.Set(nil, nil) }},
		{name: "a term", write: func(g *guardedStore) error { return g.SetUint64(nil, 1) }},
	}
	broken := errors.New("input/output error")
	tests := []struct {
		name  string
		takes time.Duration
		err   error
		after time.Duration // of the report; negative for none
	}{
		{name: "in time", takes: 4999 * time.Millisecond, after: -1},
		{name: "hangs", takes: time.Minute, after: 5 * time.Second},
		{name: "fails", takes: time.Second, err: broken, after: time.Second},
		{name: "hangs and fails", takes: time.Minute, err: broken, after: 5 * time.Second},
	}
	for _, w := range writes {
		for _, tt := range tests {
			t.Run(w.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					reports, after := 0, time.Duration(-1)
					g := &guardedStore{
						store:  &slowStore{InmemStore: raft.NewInmemStore(), takes: tt.takes, err: tt.err},
						after:  5 * time.Second,
						stored: newStored(),
						fail: func(err error) {
							reports++
							after = time.Since(start)
							if !errors.Is(err, ErrStuck) {
								t.Errorf("reported %v, want %v", err, ErrStuck)
							}
						},
					}
					for range 2 {
						if err := w.write(g); !errors.Is(err, tt.err) {
							t.Errorf("error %v, want %v", err, tt.err)
						}
					}
					if after != tt.after || reports > 1 {
						t.Errorf("%d reports, the first after %s, want at most one after %s", reports, after, tt.after)
					}
				})
			})
		}
	}
}

// TestGuardCountsRunningTime: a process that was frozen for a minute finds one
// timer overdue, not the whole time gone.
func TestGuardCountsRunningTime(t *testing.T) {
	t.Parallel()
	called := false
	l := &lateness{fn: func() { called = true }, every: time.Hour, left: lateSteps, called: make(chan struct{})}
	l.timer = time.AfterFunc(l.every, l.step)
	l.step() // the one that was overdue
	if l.stop() || called {
		t.Error("a freeze counts as the disk's time")
	}
}
