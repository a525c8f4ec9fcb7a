package meta

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

// hangingStore lets writes wait until it is thawed.
type hangingStore struct {
	store
	mu     sync.Mutex
	frozen chan struct{} // guarded by mu; nil unless frozen
}

func (s *hangingStore) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = make(chan struct{})
}

func (s *hangingStore) thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

func (s *hangingStore) await() {
	s.mu.Lock()
	frozen := s.frozen
	s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (s *hangingStore) StoreLogs(logs []*raft.Log) error {
	s.await()
	return s.store.StoreLogs(logs)
}

func (s *hangingStore) Set(key, val []byte) error {
	s.await()
	return s.store.Set(key, val)
}

func (s *hangingStore) SetUint64(key []byte, val uint64) error {
	s.await()
	return s.store.SetUint64(key, val)
}

// note waits although there may be nothing to write: it asks for the term, which
// waits for the write of another one.
func (s *hangingStore) note() error {
	s.await()
	return s.store.(noter).note()
}

// hangingQuorum starts three members whose disks can hang. stuck is told of those
// that give up.
func hangingQuorum(t *testing.T, stuck func(id cluster.BrokerID, err error)) (q *quorum, stores map[cluster.BrokerID]*hangingStore, end func()) {
	t.Helper()
	stores = map[cluster.BrokerID]*hangingStore{}
	var mu sync.Mutex
	q = newQuorum(t, 3, func(o *Options) {
		self := o.Self
		o.storeForTesting = func(s store) store {
			mu.Lock()
			defer mu.Unlock()
			stores[self] = &hangingStore{store: s}
			return stores[self]
		}
		o.OnStuck = func(err error) { stuck(self, err) }
	})
	q.start(1, 2, 3)
	return q, stores, func() {
		for _, s := range stores {
			s.thaw() // or a failed test would wait for ever
		}
		q.close()
	}
}

// TestALeaderWhoseDiskHangsIsReplaced: its write hangs for less than the time
// after which the process would end.
func TestALeaderWhoseDiskHangsIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, stores, end := hangingQuorum(t, func(id cluster.BrokerID, err error) { t.Errorf("broker %d: %v", id, err) })
		defer end()
		old := q.leader(1, 2, 3)
		register(t, old, 7)
		stores[old.id].freeze()
		start := time.Now()
		lost := make(chan error, 1)
		go func() {
			_, err := old.Propose(t.Context(), cluster.InitCluster{ClusterID: "late"})
			lost <- err
		}()
		m := q.leader(others(old.id)...)
		took := time.Since(start)
		t.Logf("a new leader after %s", took)
		if took < 2*time.Second || took > 3800*time.Millisecond {
			t.Errorf("a new leader after %s, want 2s and an election", took)
		}
		if lead, _ := old.Leadership(); lead.Self {
			t.Error("the old leader believes that it leads")
		}
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		stores[old.id].thaw()
		if err := <-lost; !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("error %v, want %v", err, ErrUnknownOutcome)
		}
		sees(t, old, "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
		q.leader(1, 2, 3)
	})
}

// TestALeaderWhoseDiskHangsResigns: another disk of the same broker says so before
// the log has anything to write but its witness. The old leader knows at once that
// it is none any more, although it cannot write down the new term.
func TestALeaderWhoseDiskHangsResigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gaveUp := make(chan cluster.BrokerID, 3)
		q, stores, end := hangingQuorum(t, func(id cluster.BrokerID, _ error) { gaveUp <- id })
		defer end()
		old := q.leader(1, 2, 3)
		register(t, old, 7)
		stores[old.id].freeze()
		wait(lookInterval) // the witness hangs
		start := time.Now()
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_ = old.Resign(t.Context()) // its own disk keeps raft from saying that it worked
		}()
		m := q.leader(others(old.id)...)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("a new leader after %s", took)
		}
		synctest.Wait()
		if lead, _ := old.Leadership(); lead.Self || lead.Leader == old.id {
			t.Errorf("the old leader believes %+v", lead)
		}
		<-asked
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		if id := <-gaveUp; id != old.id {
			t.Errorf("broker %d gave up, want %d", id, old.id)
		}
		if took := time.Since(start); took < 4500*time.Millisecond || took > 5*time.Second {
			t.Errorf("gave up after %s, want 5s from when the witness hung", took)
		}
		if err := q.members[m.id].Resign(t.Context()); err != nil {
			t.Errorf("with one of the voters stuck: %v", err)
		}
		stores[old.id].thaw()
		q.leader(1, 2, 3)
	})
}

// TestNobodyResignsAlone: a single voter has nobody to leave the lead to.
func TestNobodyResignsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var disk *hangingStore
		q := newQuorum(t, 1, func(o *Options) {
			o.storeForTesting = func(s store) store {
				disk = &hangingStore{store: s}
				return disk
			}
		})
		defer q.close()
		q.start(1)
		m := q.leader(1)
		if err := m.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		disk.freeze()
		done := make(chan error, 1)
		go func() {
			_, err := m.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"})
			done <- err
		}()
		wait(4 * time.Second)
		if lead, _ := m.Leadership(); !lead.Self {
			t.Error("gave up the lead")
		}
		disk.thaw()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
