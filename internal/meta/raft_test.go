package meta

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

func TestOneVoterLeadsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 1, func(o *Options) { o.MaxProposals = 1 })
		defer q.close()
		start := time.Now()
		q.start(1)
		m := q.leader(1)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("a leader after %s, want at most 100ms", took)
		}
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		if m.ClusterID() != "c" {
			t.Errorf("cluster id %q, want c", m.ClusterID())
		}
		for range 3 { // one after the other, each has its turn
			synctest.Wait()
			if err := m.Barrier(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// wait lets the bubble's time pass.
func wait(d time.Duration) {
	if d > 0 {
		timer := time.NewTimer(d)
		<-timer.C
	}
}

func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		old := q.leader(1, 2, 3)
		register(t, old, 7)
		rest := others(old.id)
		isolate(q, old.id, q.net.Cut)
		start := time.Now()
		// The old leader does not know yet, and cannot commit.
		_, err := old.Propose(t.Context(), cluster.InitCluster{ClusterID: "lost"})
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("propose on the cut off leader: error %v, want %v", err, ErrUnknownOutcome)
		}
		m := q.leader(rest...)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a new leader after %s, want at most 2s", took)
		}
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		_, err = old.Propose(t.Context(), cluster.InitCluster{ClusterID: "lost"})
		if !errors.Is(err, ErrNotLeader) {
			t.Errorf("propose after the lease: error %v, want %v", err, ErrNotLeader)
		}
		if err := old.Barrier(t.Context()); !errors.Is(err, ErrNotLeader) {
			t.Errorf("barrier after the lease: error %v, want %v", err, ErrNotLeader)
		}
		isolate(q, old.id, q.net.Heal)
		sees(t, old, "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
		q.leader(1, 2, 3)
	})
}

func others(id cluster.BrokerID) []cluster.BrokerID {
	return slices.DeleteFunc([]cluster.BrokerID{1, 2, 3}, func(other cluster.BrokerID) bool { return other == id })
}

// isolate cuts or heals all links of a member, both ways.
func isolate(q *quorum, id cluster.BrokerID, change func(from, to string)) {
	for _, p := range q.peers {
		if p.ID != id {
			change(host(id), host(p.ID))
			change(host(p.ID), host(id))
		}
	}
}

func TestFollowersDoNotPropose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		for _, id := range others(m.id) {
			if _, err := q.members[id].Propose(t.Context(), cluster.InitCluster{ClusterID: "c"}); !errors.Is(err, ErrNotLeader) {
				t.Errorf("broker %d: error %v, want %v", id, err, ErrNotLeader)
			}
			if q.members[id].Leader() != m.id {
				t.Errorf("broker %d thinks that %d leads, want %d", id, q.members[id].Leader(), m.id)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Propose(ctx, cluster.InitCluster{ClusterID: "c"}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("after its context: error %v, want only %v", err, context.Canceled)
		}
	})
}

// TestProposalsAreBounded has a leader that can commit nothing and never finds
// out: proposals end on time, are refused when there are too many, and do not
// keep Run from ending.
func TestProposalsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, func(o *Options) {
			o.MaxProposals, o.ElectionTimeout, o.LeaseTimeout, o.ProposeTimeout = 2, time.Hour, time.Hour, time.Second
		})
		defer q.close()
		q.start(1, 2, 3)
		hour := time.NewTimer(4 * time.Hour)
		defer hour.Stop()
		var m *member
		for m == nil {
			select {
			case <-hour.C:
				t.Fatal("no leader")
			default:
				wait(time.Minute)
			}
			for _, other := range q.members {
				if lead, _ := other.Leadership(); lead.Self {
					m = other
				}
			}
		}
		q.stop(others(m.id)...)
		var proposals sync.WaitGroup
		for range 2 {
			proposals.Go(func() {
				start := time.Now()
				_, err := m.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"})
				if !errors.Is(err, ErrUnknownOutcome) || time.Since(start) != time.Second {
					t.Errorf("error %v after %s, want %v after 1s", err, time.Since(start), ErrUnknownOutcome)
				}
			})
		}
		synctest.Wait()
		if _, err := m.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"}); !errors.Is(err, ErrBusy) {
			t.Errorf("a third: error %v, want %v", err, ErrBusy)
		}
		proposals.Wait()
		if _, err := m.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"}); !errors.Is(err, ErrBusy) {
			t.Errorf("while raft has not answered: error %v, want %v", err, ErrBusy)
		}
	})
}

func TestNothingBeforeRun(t *testing.T) {
	t.Parallel()
	n := peer.NewMemNetwork()
	defer n.Close()
	r, err := NewRaft(Options{
		Self: 1, Peers: []Peer{{ID: 1, Addr: "a"}}, Dir: t.TempDir(),
		Mux: peer.NewMux(peer.Options{Self: 1}), Network: n.Host("a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Propose(t.Context(), cluster.InitCluster{ClusterID: "c"}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("error %v, want %v", err, ErrNotLeader)
	}
	if r.Leader() != cluster.NoBroker || r.AppliedIndex() != 0 || r.ClusterID() != "" {
		t.Errorf("leader %d, index %d, cluster %q before Run", r.Leader(), r.AppliedIndex(), r.ClusterID())
	}
	if s := r.Status(); s.Leader != cluster.NoBroker || len(s.Voters) != 0 {
		t.Errorf("status %+v before Run", s)
	}
}

func TestLeaderHandsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		register(t, m, 7)
		start := time.Now()
		q.stop(m.id)
		q.leader(others(m.id)...)
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("a new leader after %s, want less than an election timeout", took)
		}
	})
}

// TestNonVotersFollow starts a fourth broker: it gets every image and may be
// lost without consequence, as may one of the three voters.
func TestNonVotersFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 4, nil)
		defer q.close()
		q.start(4) // it waits for the others
		wait(5 * time.Second)
		q.start(1, 2)
		m := q.leader(1, 2, 4)
		register(t, m, 7)
		sees(t, q.members[4], "broker 7", hasBroker(7))
		s := q.members[4].Status()
		if !slices.Equal(s.Voters, []cluster.BrokerID{1, 2, 3}) || !slices.Equal(s.Observers, []cluster.BrokerID{4}) {
			t.Errorf("voters %v, observers %v, want 1 2 3 and 4", s.Voters, s.Observers)
		}
		if s.Leader != m.id || s.Self || s.AppliedIndex < m.AppliedIndex() || s.CommitIndex < s.AppliedIndex || s.LastIndex < s.CommitIndex || s.LastContact.IsZero() {
			t.Errorf("status %+v does not add up", s)
		}
		if s := m.Status(); !s.Self || s.Leader != m.id || !s.LastContact.IsZero() {
			t.Errorf("the leader's status is %+v", s)
		}
		// With one voter left it must not make a majority.
		q.stop(2)
		wait(5 * time.Second)
		for id, m := range q.members {
			if lead, _ := m.Leadership(); lead.Self {
				t.Errorf("broker %d leads without a majority of the voters", id)
			}
		}
		q.start(3)
		q.leader(1, 3, 4)
	})
}
