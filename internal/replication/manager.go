package replication

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// led is a partition that this broker leads, in one epoch. It is replaced, not
// changed.
type led struct {
	replica ledReplica
	epoch   cluster.Epoch
	streams []*stream // one per follower
	// wokenEnd is the log end that the streams were last woken for.
	wokenEnd atomic.Int64
}

// Manager owns this broker's links: it makes them what the metadata says, and
// takes the wakes of the partitions.
type Manager struct {
	o        Options
	replicas replicas
	dial     func(ctx context.Context, ln lane, to cluster.BrokerID, addr string) (net.Conn, cluster.UUID, error)
	started  time.Time
	sessions atomic.Uint64 // the newest session id
	changed  chan struct{} // image was replaced; capacity 1
	strain   strain        // of producers, by followers that catch up

	// ledBy finds what a wake is for. The map is replaced by Run and never
	// changed, so that the append path takes no lock of the manager.
	ledBy atomic.Pointer[map[cluster.TopicPartition]*led]

	mu       sync.Mutex
	image    *cluster.Image                // guarded by mu; the newest that was applied
	links    map[cluster.BrokerID]*link    // guarded by mu
	inbounds map[cluster.BrokerID]*inbound // guarded by mu; the live lane of each leader
	// heard is when each leader was last heard, whichever its lane. Guarded by mu.
	heard map[cluster.BrokerID]*atomic.Int64
}

// New returns a manager. It does nothing until [Manager.Run].
func New(o Options) *Manager {
	m := newManager(o, table{o.Table})
	m.dial = m.dialPeer
	return m
}

// dialPeer connects a lane through the peer port.
func (m *Manager) dialPeer(ctx context.Context, ln lane, to cluster.BrokerID, addr string) (net.Conn, cluster.UUID, error) {
	kind := peer.KindLive
	if ln == laneBulk {
		kind = peer.KindBulk
	}
	conn, remote, err := peer.Dial(ctx, peer.DialOptions{
		Network: m.o.Network, Addr: addr, Hello: m.o.Hello(kind, to), Timeout: m.o.DialTimeout,
	})
	return conn, remote.Incarnation, err
}

func newManager(o Options, r replicas) *Manager {
	m := &Manager{
		o: o.withDefaults(), replicas: r, started: time.Now(), changed: make(chan struct{}, 1),
		image: cluster.NewImage(), links: map[cluster.BrokerID]*link{}, inbounds: map[cluster.BrokerID]*inbound{},
		heard: map[cluster.BrokerID]*atomic.Int64{},
	}
	// Sessions of another run of this process must not look like this one's.
	m.sessions.Store(uint64(rand.Uint32()) << 31)
	m.ledBy.Store(&map[cluster.TopicPartition]*led{})
	return m
}

// nextSession returns a session id that is larger than all before it.
func (m *Manager) nextSession() uint64 { return m.sessions.Add(1) }

// since is the time on this process's own clock that pings carry.
func (m *Manager) since(now time.Time) time.Duration { return now.Sub(m.started) }

// Apply tells the links of an image that the table has applied. It does not
// wait for them.
func (m *Manager) Apply(img *cluster.Image) {
	m.mu.Lock()
	m.image = img
	m.mu.Unlock()
	signal(m.changed)
}

// Run keeps the links as the metadata wants them until ctx ends, and returns
// when every goroutine of every link has.
func (m *Manager) Run(ctx context.Context) error {
	var links sync.WaitGroup
	defer links.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := reconciler{m: m, seen: cluster.NewImage(), start: func(l *link) {
		links.Go(func() { l.run(ctx) })
	}}
	for {
		select {
		case <-m.changed:
			m.mu.Lock()
			img := m.image
			m.mu.Unlock()
			r.apply(img)
		case <-ctx.Done():
			return nil
		}
	}
}

// Wake says that a led partition's log or high watermark moved. It never
// blocks. Followers are woken for data at once; a high watermark alone waits a
// moment for data to carry it.
func (m *Manager) Wake(tp cluster.TopicPartition) {
	l, ok := (*m.ledBy.Load())[tp]
	if !ok || len(l.streams) == 0 {
		return
	}
	end, _, ok := l.replica.Position(l.epoch)
	if !ok {
		return
	}
	if raise(&l.wokenEnd, end) {
		for _, s := range l.streams {
			s.link.appended(s)
		}
		return
	}
	for _, s := range l.streams {
		s.link.watermarkMoved(s)
	}
}

// raise makes v at least to and reports whether that changed it.
func raise(v *atomic.Int64, to int64) bool {
	for {
		old := v.Load()
		if to <= old {
			return false
		}
		if v.CompareAndSwap(old, to) {
			return true
		}
	}
}

// PeerHello says that a broker was heard from: if the link to it waits before
// dialling again, it need not.
func (m *Manager) PeerHello(id cluster.BrokerID) {
	m.mu.Lock()
	l := m.links[id]
	m.mu.Unlock()
	if l != nil {
		signal(l.kick)
	}
}

// link returns the link to a broker, which start sets to work when it is new.
func (m *Manager) link(id cluster.BrokerID, start func(*link)) *link {
	m.mu.Lock()
	l, ok := m.links[id]
	if !ok {
		l = newLink(m, id)
		m.links[id] = l
	}
	m.mu.Unlock()
	if !ok {
		start(l)
	}
	return l
}

// allLinks returns the links by broker id.
func (m *Manager) allLinks() []*link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.links), func(a, b *link) int { return cmp.Compare(a.peer, b.peer) })
}
