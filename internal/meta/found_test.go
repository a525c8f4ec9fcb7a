package meta

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// TestAnIDInUseFoundsNothing starts a second process of broker 1, elsewhere,
// before and after the one that --peers means. With the vote of broker 2 each
// could found a cluster of its own.
func TestAnIDInUseFoundsNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		order []string
		ends  bool // the second process, as it met the first
	}{
		{name: "alone with broker 2", order: []string{"impostor", "two"}},
		{name: "before the first", order: []string{"impostor", "one"}, ends: true},
		{name: "after the first", order: []string{"one", "impostor"}, ends: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQuorum(t, 3, nil)
				defer q.close()
				var stop func() error
				for _, who := range tt.order {
					switch who {
					case "one":
						q.start(1)
					case "two":
						q.start(2)
					default:
						stop = q.impostor(1)
					}
					wait(time.Second)
				}
				wait(2 * duplicatePatience)
				err := stop()
				if got := errors.Is(err, ErrNotAtAddress); got != tt.ends || err != nil && !got {
					t.Errorf("the second process of broker 1 ended with %v", err)
				}
				if _, err := os.Stat(filepath.Join(q.dir, "elsewhere", "joining")); err != nil {
					t.Errorf("the second process of broker 1 voted: %v", err)
				}
			})
		})
	}
}

// impostor runs another process with a broker's id on another host, until the
// function that it returns is called, which returns how it ended.
func (q *quorum) impostor(id cluster.BrokerID) (stop func() error) {
	q.t.Helper()
	network := q.net.Host("elsewhere")
	mux := peer.NewMux(peer.Options{Self: id, Incarnation: cluster.UUID{0: byte(id), 1: 1}})
	r, err := NewRaft(Options{Self: id, Peers: q.peers, Dir: filepath.Join(q.dir, "elsewhere"), Mux: mux, Network: network})
	if err != nil {
		q.t.Fatal(err)
	}
	var l net.Listener
	if l, err = network.Listen("elsewhere:9192"); err != nil {
		q.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(q.t.Context()))
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- mux.Serve(ctx, l) }()
	go func() { ran <- r.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-ran, <-served)
	}
}

// TestDifferentListsFoundNothing tells every voter of other brokers: each pair
// is a majority of somebody's list.
func TestDifferentListsFoundNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 5, nil)
		defer q.close()
		five := q.peers
		for _, run := range []struct {
			id    cluster.BrokerID
			peers []Peer
		}{{1, five[:3]}, {2, five[:2]}, {3, five}} {
			q.peers = run.peers
			q.start(run.id)
		}
		wait(5 * time.Second)
		for id, m := range q.members {
			if lead := m.Leader(); lead != cluster.NoBroker {
				t.Errorf("broker %d follows %d, of another list", id, lead)
			}
		}
		q.stop(1, 2)
		q.peers = five // corrected
		q.start(1, 2)
		q.leader(1, 2, 3)
	})
}

// TestAFoundingThatWasCutOffIsRepeated starts three voters of which a majority was
// killed after it had stored its first term, and before its log.
func TestAFoundingThatWasCutOffIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		for _, id := range []cluster.BrokerID{1, 2} {
			dir := filepath.Join(q.dir, host(id))
			r := &Raft{o: Options{Dir: dir}.withDefaults()}
			l, err := r.openLog()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.SetUint64(currentTerm, 1); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(l.note(), l.Close(), os.WriteFile(r.joiningFile(), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		q.start(1, 2, 3)
		q.leader(1, 2, 3)
		for id := range q.members {
			if _, err := os.Stat(filepath.Join(q.dir, host(id), "joining")); err == nil {
				t.Errorf("broker %d does not vote", id)
			}
		}
	})
}
