package meta

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// quorum is a metadata cluster in one process. Its members share a network in
// memory and keep their directories when they are stopped.
type quorum struct {
	t       *testing.T
	net     *peer.MemNetwork
	dir     string
	peers   []Peer
	members map[cluster.BrokerID]*member
	edit    func(*Options)
	network func(id cluster.BrokerID) peer.Network
}

// member is a running broker's part.
type member struct {
	*Raft
	id     cluster.BrokerID
	cancel context.CancelFunc
	done   chan error
	served chan error
}

func newQuorum(t *testing.T, n int, edit func(*Options)) *quorum {
	t.Helper()
	q := &quorum{t: t, net: peer.NewMemNetwork(), dir: t.TempDir(), members: map[cluster.BrokerID]*member{}, edit: edit}
	q.network = func(id cluster.BrokerID) peer.Network { return q.net.Host(host(id)) }
	for id := range n {
		q.peers = append(q.peers, Peer{ID: cluster.BrokerID(id + 1), Addr: fmt.Sprintf("b%d:9192", id+1)})
	}
	return q
}

// host is the network name of a broker.
func host(id cluster.BrokerID) string { return fmt.Sprintf("b%d", id) }

// start runs members, in that order.
func (q *quorum) start(ids ...cluster.BrokerID) {
	q.t.Helper()
	for _, id := range ids {
		q.startOne(id)
	}
}

func (q *quorum) startOne(id cluster.BrokerID) {
	q.t.Helper()
	m := &member{id: id, done: make(chan error, 1), served: make(chan error, 1)}
	var brokers []cluster.BrokerID
	for _, p := range q.peers {
		brokers = append(brokers, p.ID)
	}
	mux := peer.NewMux(peer.Options{
		Self: id, Incarnation: cluster.UUID{0: byte(id)}, ClusterID: func() string { return m.ClusterID() }, Brokers: brokers,
	})
	o := Options{
		Self: id, Peers: q.peers, Dir: filepath.Join(q.dir, host(id)), Mux: mux, Network: q.network(id),
		OnStuck: func(err error) { q.t.Errorf("broker %d: %v", id, err) },
		Logger:  slog.New(slog.NewTextHandler(testWriter{q.t}, &slog.HandlerOptions{Level: slog.LevelInfo})).With(slog.Int("member", int(id))),
	}
	if q.edit != nil {
		q.edit(&o)
	}
	r, err := NewRaft(o)
	if err != nil {
		q.t.Fatal(err)
	}
	m.Raft = r
	l, err := o.Network.Listen(r.o.selfAddr())
	if err != nil {
		q.t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(context.WithoutCancel(q.t.Context()))
	served, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() { m.served <- mux.Serve(served, l) }()
	go func() {
		err := r.Run(ctx)
		stop() // the peer port outlives the log, which hands over through it
		m.done <- err
	}()
	q.members[id] = m
}

// stop ends members in good order.
func (q *quorum) stop(ids ...cluster.BrokerID) {
	q.t.Helper()
	for _, id := range ids {
		m := q.members[id]
		m.cancel()
		if err := <-m.done; err != nil {
			q.t.Errorf("run %d: %v", id, err)
		}
		if err := <-m.served; err != nil {
			q.t.Errorf("serve %d: %v", id, err)
		}
		delete(q.members, id)
	}
}

// close ends everything that is left.
func (q *quorum) close() {
	q.t.Helper()
	for id := range q.members {
		q.stop(id)
	}
	q.net.Close()
}

// leader waits until a member among ids leads and the others know.
func (q *quorum) leader(ids ...cluster.BrokerID) *member {
	q.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		var changes []<-chan struct{}
		votes := map[cluster.BrokerID]int{}
		for _, id := range ids {
			lead, changed := q.members[id].Leadership()
			changes = append(changes, changed)
			votes[lead.Leader]++
		}
		for id, n := range votes {
			if m := q.members[id]; m != nil && n == len(ids) && slices.Contains(ids, id) {
				if lead, _ := m.Leadership(); lead.Self {
					return m
				}
			}
		}
		awaitAny(q.t, deadline.C, changes)
	}
}

// awaitAny returns when one of the channels is closed.
func awaitAny(t *testing.T, deadline <-chan time.Time, changes []<-chan struct{}) {
	t.Helper()
	any := make(chan struct{}, len(changes))
	stop := make(chan struct{})
	defer close(stop)
	for _, c := range changes {
		go func() {
			select {
			case <-c:
				any <- struct{}{}
			case <-stop:
			}
		}()
	}
	select {
	case <-any:
	case <-deadline:
		t.Fatal("timed out")
	}
}

// sees waits until the member's image passes.
func sees(t *testing.T, m *member, what string, pass func(*cluster.Image) bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		img, changed := m.Watch()
		if pass(img) {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("broker %d never saw %s; its image is at %d", m.id, what, img.Index())
		}
	}
}

func propose(t *testing.T, m *member, cmd cluster.Command) cluster.Result {
	t.Helper()
	res, err := m.Propose(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	return res
}

// register proposes a broker, the smallest command with a visible effect.
func register(t *testing.T, m *member, id cluster.BrokerID) {
	t.Helper()
	propose(t, m, cluster.RegisterBroker{Broker: cluster.Broker{ID: id, Incarnation: cluster.UUID{0: 1, 1: byte(id), 2: byte(id >> 8)}}})
}

func hasBroker(id cluster.BrokerID) func(*cluster.Image) bool {
	return func(img *cluster.Image) bool { _, ok := img.Broker(id); return ok }
}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

var _ net.Addr = peerAddr("")
