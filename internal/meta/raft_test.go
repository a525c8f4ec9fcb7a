package meta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestStartOrders starts three voters in every order, with every delay between
// them: a leader must be there soon after the second.
func TestStartOrders(t *testing.T) {
	t.Parallel()
	for _, order := range [][]cluster.BrokerID{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		for _, delay := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second} {
			t.Run(fmt.Sprint(order, delay), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					q := newQuorum(t, 3, nil)
					defer q.close()
					q.start(order[0])
					wait(delay)
					q.start(order[1])
					second := time.Now()
					m := q.leader(order[:2]...)
					if took := time.Since(second); took > time.Second {
						t.Errorf("a leader %s after the second broker, want at most 1s", took)
					}
					propose(t, m, cluster.InitCluster{ClusterID: "c"})
					wait(delay)
					q.start(order[2])
					q.leader(order...)
					sees(t, q.members[order[2]], "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
				})
			})
		}
	}
}

// wait lets the bubble's time pass.
func wait(d time.Duration) {
	if d > 0 {
		timer := time.NewTimer(d)
		<-timer.C
	}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		register(t, m, 7)
		want := m.Image()
		for _, other := range q.members {
			sees(t, other, "broker 7", hasBroker(7))
		}
		q.stop(1, 2, 3)
		q.start(3)
		if got := q.members[3].ClusterID(); got != "c" {
			t.Errorf("before any leader: cluster id %q, want c", got)
		}
		wait(3 * time.Second)
		q.start(2)
		q.leader(2, 3)
		for _, m := range q.members {
			sees(t, m, "the old index", func(img *cluster.Image) bool { return img.Index() >= want.Index() })
			if got, want := encode(t, m.Image()), encode(t, want); got != want {
				t.Errorf("broker %d has\n%s\nwant\n%s", m.id, got, want)
			}
		}
	})
}

func encode(t *testing.T, img *cluster.Image) string {
	t.Helper()
	data, err := img.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestSnapshots makes the log short enough that a member which was away must be
// sent a snapshot, and restarts everybody from snapshots.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, func(o *Options) {
			o.SnapshotEntries, o.SnapshotInterval, o.SegmentBytes = 10, time.Second, 8<<10
		})
		defer q.close()
		q.start(1, 2, 3)
		q.leader(1, 2, 3)
		q.stop(3)
		m := q.leader(1, 2)
		for id := range cluster.BrokerID(100) {
			register(t, m, id)
		}
		wait(3 * time.Second)
		for _, id := range []cluster.BrokerID{1, 2} {
			if n := snapshots(t, filepath.Join(q.dir, host(id))); n == 0 {
				t.Errorf("broker %d wrote no snapshot", id)
			}
		}
		q.start(3)
		sees(t, q.members[3], "broker 99", hasBroker(99))
		if n := snapshots(t, filepath.Join(q.dir, host(3))); n == 0 {
			t.Error("broker 3 caught up without a snapshot: the log was not cut")
		}
		want := encode(t, m.Image())
		q.stop(1, 2, 3)
		q.start(1, 2, 3)
		m = q.leader(1, 2, 3)
		if err := m.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := encode(t, m.Image()); got != want {
			t.Errorf("after the restart\n%s\nwant\n%s", got, want)
		}
		register(t, m, 100)
	})
}

func snapshots(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
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

// TestAWipedVoterDoesNotVote loses the disk of one of the two members that hold
// an entry. The one that lacks the entry must not become the leader with the
// help of the empty one.
func TestAWipedVoterDoesNotVote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		for _, other := range q.members {
			sees(t, other, "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
		}
		q.stop(2)
		m = q.leader(1, 3)
		register(t, m, 7)
		q.stop(1, 3)
		if err := os.RemoveAll(filepath.Join(q.dir, host(3))); err != nil {
			t.Fatal(err)
		}
		q.start(3) // alone, it must not take itself for the first of a new cluster
		wait(5 * time.Second)
		q.start(2)
		wait(20 * time.Second)
		for id, m := range q.members {
			if m.Leader() != cluster.NoBroker {
				t.Fatalf("broker %d follows %d, which lacks a committed entry", id, m.Leader())
			}
		}
		// Nor after another restart, now that its directory has files.
		q.stop(3)
		q.start(3)
		wait(20 * time.Second)
		if lead := q.members[2].Leader(); lead != cluster.NoBroker {
			t.Fatalf("after a restart of the wiped broker %d leads", lead)
		}
		q.start(1)
		q.leader(1, 2, 3)
		for _, m := range q.members {
			sees(t, m, "broker 7", hasBroker(7))
		}
		// Once it has caught up it counts again.
		wait(time.Second)
		q.stop(2)
		m = q.leader(1, 3)
		register(t, m, 8)
		q.stop(1)
		q.start(2)
		m = q.leader(2, 3)
		sees(t, m, "broker 8", hasBroker(8))
	})
}

func TestBrokersMayMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		q.start(1, 2, 3)
		register(t, q.leader(1, 2, 3), 7)
		q.stop(1, 2, 3)
		for i := range q.peers {
			q.peers[i].Addr = strings.Replace(q.peers[i].Addr, "9192", "29192", 1)
		}
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		if err := m.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !hasBroker(7)(m.Image()) {
			t.Error("broker 7 is gone")
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	n := peer.NewMemNetwork()
	defer n.Close()
	good := func() Options {
		return Options{
			Self: 1, Peers: []Peer{{ID: 1, Addr: "a:1"}, {ID: 2, Addr: "b:1"}}, Dir: t.TempDir(),
			Mux: peer.NewMux(peer.Options{Self: 1}), Network: n.Host("a"),
		}
	}
	tests := []struct {
		name string
		edit func(*Options)
		ok   bool
	}{
		{name: "good", edit: func(*Options) {}, ok: true},
		{name: "not among the peers", edit: func(o *Options) { o.Self = 3 }},
		{name: "a peer twice", edit: func(o *Options) { o.Peers[1].ID = 1 }},
		{name: "a peer without address", edit: func(o *Options) { o.Peers[1].Addr = "" }},
		{name: "a negative id", edit: func(o *Options) { o.Peers[1].ID = -2 }},
		{name: "no mux", edit: func(o *Options) { o.Mux = nil }},
		{name: "no network", edit: func(o *Options) { o.Network = nil }},
		{name: "no directory", edit: func(o *Options) { o.Dir = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.edit(&o)
			if _, err := NewRaft(o); (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestVoters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ids  []cluster.BrokerID
		want []cluster.BrokerID
	}{
		{name: "one", ids: []cluster.BrokerID{7}, want: []cluster.BrokerID{7}},
		{name: "two", ids: []cluster.BrokerID{2, 1}, want: []cluster.BrokerID{1, 2}},
		{name: "three", ids: []cluster.BrokerID{30, 10, 20}, want: []cluster.BrokerID{10, 20, 30}},
		{name: "four: an even number would not survive more", ids: []cluster.BrokerID{4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3}},
		{name: "five", ids: []cluster.BrokerID{5, 4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3, 4, 5}},
		{name: "nine", ids: []cluster.BrokerID{9, 8, 7, 6, 5, 4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var peers []Peer
			for _, id := range tt.ids {
				peers = append(peers, Peer{ID: id, Addr: fmt.Sprint(id)})
			}
			if got := Voters(peers); !slices.Equal(got, tt.want) {
				t.Fatalf("voters %v, want %v", got, tt.want)
			}
			for _, s := range configuration(peers).Servers {
				if back := brokerID(s.ID); serverID(back) != s.ID {
					t.Errorf("server %s is broker %d", s.ID, back)
				}
			}
		})
	}
	if got := brokerID("x"); got != cluster.NoBroker {
		t.Errorf("server x is broker %d, want none", got)
	}
}

// TestOverTCP runs on loopback, a real disk and real time, and says how long it
// takes until there is a leader.
func TestOverTCP(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			q := newQuorum(t, n, nil)
			defer q.close()
			q.network = func(cluster.BrokerID) peer.Network { return peer.NewOSNetwork() }
			var ids []cluster.BrokerID
			for i := range q.peers {
				q.peers[i].Addr = freeAddr(t)
				ids = append(ids, q.peers[i].ID)
			}
			start := time.Now()
			q.start(ids...)
			m := q.leader(ids...)
			elected := time.Since(start)
			propose(t, m, cluster.InitCluster{ClusterID: "c"})
			for _, other := range q.members {
				sees(t, other, "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
			}
			t.Logf("%d brokers: a leader after %s, an entry everywhere after %s", n, elected, time.Since(start))
			if bound := 5 * time.Second; time.Since(start) > bound {
				t.Errorf("took more than %s", bound)
			}
		})
	}
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := peer.NewOSNetwork().Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
