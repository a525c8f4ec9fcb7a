package meta

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// lateLimit bounds how long a member that appears waits for what the others
// have, however long they have tried to reach it.
const lateLimit = 500 * time.Millisecond

// TestStartOrders starts three voters in every order, with every delay between
// them: a leader must be there soon after the second.
func TestStartOrders(t *testing.T) {
	t.Parallel()
	for _, order := range [][]cluster.BrokerID{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		for _, delay := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second, 35 * time.Second} {
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
					third := time.Now()
					q.leader(order...)
					sees(t, q.members[order[2]], "the cluster id", func(img *cluster.Image) bool { return img.ClusterID() == "c" })
					if took := time.Since(third); took > lateLimit {
						t.Errorf("the third broker had its metadata after %s, want at most %s", took, lateLimit)
					}
				})
			})
		}
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
		wait(30 * time.Second) // as long as raft's pauses can become
		q.start(3)
		back := time.Now()
		sees(t, q.members[3], "broker 99", hasBroker(99))
		if took := time.Since(back); took > lateLimit {
			t.Errorf("the snapshot took %s, want at most %s", took, lateLimit)
		}
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

// TestOverTCP runs on loopback, a real disk and real time, and says how long it
// takes until there is a leader.
func TestOverTCP(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			q := newQuorum(t, n, nil)
			defer q.close()
			bound := map[cluster.BrokerID]net.Listener{}
			q.network = func(id cluster.BrokerID) peer.Network { return boundNetwork{peer.NewOSNetwork(), bound[id]} }
			var ids []cluster.BrokerID
			for i := range q.peers {
				l, err := peer.NewOSNetwork().Listen("127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				q.peers[i].Addr, bound[q.peers[i].ID] = l.Addr().String(), l
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

// boundNetwork listens on what is bound already: a port that is free when it is
// chosen may be taken when it is needed.
type boundNetwork struct {
	peer.Network
	bound net.Listener
}

func (n boundNetwork) Listen(string) (net.Listener, error) { return n.bound, nil }
