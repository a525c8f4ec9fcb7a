package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// inbound is the receiving side of a link: one leader's live connection, and
// the sessions opened on it. Its goroutines are the reader (serve), which
// appends what it reads itself, the writer of whatever the socket would not
// take at once, one that answers Opens while some wait, and one per truncation.
type inbound struct {
	m      *Manager
	leader cluster.BrokerID
	log    *slog.Logger
	conn   net.Conn
	cancel context.CancelFunc // ends serve, even while it waits for room to append
	out    *outbox
	fresh  chan struct{}  // more Opens wait; capacity 1
	heard  *atomic.Int64  // see [Manager.heardFrom]
	ping   atomic.Uint64  // the last one's content
	wg     sync.WaitGroup // of everything but the reader, which alone adds to it

	mu        sync.Mutex
	sessions  map[uint64]*inSession                  // guarded by mu
	current   map[cluster.TopicPartition]*inSession  // guarded by mu; the newest of each partition
	reported  map[cluster.TopicPartition]errCode     // guarded by mu; the last Err of each
	waiting   map[cluster.TopicPartition]waitingOpen // guarded by mu; the newest Open of each
	admitting bool                                   // guarded by mu; someone answers the waiting
}

// inSession is an open session as its follower sees it.
type inSession struct {
	key
	// pending are the frames that are not durable yet, oldest first: what they
	// wait for a round to begin is told with its acknowledgement. The leader
	// bounds them (maxFlights). Guarded by inbound.mu.
	pending []arrival
}

// arrival is a Data frame that came.
type arrival struct {
	base int64 // of its first record
	at   time.Time
}

// settle forgets the frames that a round made durable, at least in part, and
// returns when the oldest of them came; zero when there was none.
func (s *inSession) settle(durableEnd int64) (oldest time.Time) {
	n := 0
	for n < len(s.pending) && s.pending[n].base < durableEnd {
		n++
	}
	if n > 0 {
		oldest = s.pending[0].at
		s.pending = s.pending[:copy(s.pending, s.pending[n:])]
	}
	return oldest
}

// ServeLive serves a leader's live connection until it ends. It is the
// [peer.Handler] of [peer.KindLive]. A leader has one: a new connection takes
// the place of the old one, of which this side may not know yet that it is dead.
func (m *Manager) ServeLive(ctx context.Context, remote peer.Hello, conn net.Conn) {
	m.PeerHello(remote.From)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &inbound{
		m: m, leader: remote.From, log: m.o.Logger.With(slog.Int("leader", int(remote.From))),
		conn: conn, cancel: cancel, out: newOutbox(conn, m.o.DeadAfter), heard: m.heardFrom(remote.From),
		sessions: map[uint64]*inSession{}, current: map[cluster.TopicPartition]*inSession{},
		reported: map[cluster.TopicPartition]errCode{}, waiting: map[cluster.TopicPartition]waitingOpen{}, fresh: make(chan struct{}, 1),
	}
	m.mu.Lock()
	old := m.inbounds[remote.From]
	m.inbounds[remote.From] = in
	m.mu.Unlock()
	if old != nil {
		old.stop()
	}
	err := in.serve(ctx)
	m.mu.Lock()
	if m.inbounds[remote.From] == in {
		delete(m.inbounds, remote.From)
	}
	m.mu.Unlock()
	in.log.Info("leader disconnected", slog.Any("error", err))
}

// stop makes serve return.
func (in *inbound) stop() {
	in.cancel()
	_ = in.conn.Close()
}

// ServeBulk serves a leader's bulk connection until it ends. It is the
// [peer.Handler] of [peer.KindBulk]. Its frames belong to the sessions of the
// leader's live connection, and so do the answers to them.
func (m *Manager) ServeBulk(ctx context.Context, remote peer.Hello, conn net.Conn) {
	frames := newFrameReader(conn, m.o.MaxFrameBytes)
	for {
		f, err := frames.next()
		if err == nil && f.kind != kindData {
			err = fmt.Errorf("%w: %s on a bulk lane", errFrame, f.kind)
		}
		if err == nil {
			if in := m.inboundOf(remote.From); in != nil {
				err = in.append(ctx, f)
			}
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
				m.o.Logger.Info("bulk lane closed", slog.Int("leader", int(remote.From)), slog.Any("error", readError(err)))
			}
			return
		}
	}
}

func (m *Manager) inboundOf(leader cluster.BrokerID) *inbound {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inbounds[leader]
}

// FlushAcks sends the acknowledgements that a round of the write-ahead log has
// made due: one frame per leader. It does not block. The write-ahead log calls
// it after every round, when all partitions have been told.
func (m *Manager) FlushAcks() {
	fsync := m.o.LastFsync()
	m.mu.Lock()
	all := make([]*inbound, 0, 8)
	for _, in := range m.inbounds {
		all = append(all, in)
	}
	m.mu.Unlock()
	for _, in := range all {
		in.out.flushRound(fsync)
	}
}

// serve reads the leader's frames until the connection fails.
func (in *inbound) serve(ctx context.Context) error {
	in.wg.Go(func() { in.out.run(ctx, in.m.o.PingInterval, in.alive) })
	err := in.read(ctx)
	in.stop()
	in.wg.Wait()
	in.closeSessions()
	return err
}

// closeSessions ends every session: after this, nothing is acknowledged on them.
func (in *inbound) closeSessions() {
	in.mu.Lock()
	open := make([]key, 0, len(in.sessions))
	for _, s := range in.sessions {
		open = append(open, s.key)
	}
	clear(in.sessions)
	clear(in.current)
	in.mu.Unlock()
	for _, k := range open {
		in.m.replicas.CloseFollow(k.tp, k.session)
	}
}

func (in *inbound) read(ctx context.Context) error {
	r := inboundReader{inbound: in, frames: newFrameReader(in.conn, in.m.o.MaxFrameBytes)}
	// The leader pings far more often than this. It only frees what a leader
	// that vanished has left behind.
	patience := 3 * in.m.o.DeadAfter
	var extended time.Time
	for {
		now := time.Now()
		in.heard.Store(int64(in.m.since(now)))
		if now.Sub(extended) > in.m.o.PingInterval {
			if err := in.conn.SetReadDeadline(now.Add(patience)); err != nil {
				return fmt.Errorf("read: %w", err)
			}
			extended = now
		}
		f, err := r.frames.next()
		if err != nil {
			return readError(err)
		}
		in.m.replicas.PeerHeard(in.leader)
		if err := r.handle(ctx, f); err != nil {
			return err
		}
	}
}

// waitsForRoom stands for the time of the last frame while the reader appends.
const waitsForRoom = math.MaxInt64

// alive adds a Pong while the reader waits for room to append, and so answers no
// Ping: the leader would drop the lane, and partitions that have no part in it
// would lose their sessions. What lags is for the in-sync policy. The last Pong is
// sent again: the leader takes no round trip from that.
func (in *inbound) alive(b []byte) []byte {
	if in.heard.Load() != waitsForRoom {
		return b
	}
	return appendPing(b, kindPong, in.ping.Load())
}

// inboundReader is the state of an inbound link's reading goroutine.
type inboundReader struct {
	*inbound
	frames *frameReader
	opens  []open
	cuts   []truncate
	marks  []watermark
}

func (r *inboundReader) handle(ctx context.Context, f frame) error {
	var err error
	switch f.kind {
	case kindData:
		// Who waits for room here does not listen: that is not the leader's silence.
		r.heard.Store(waitsForRoom)
		err = r.append(ctx, f)
		r.heard.Store(int64(r.m.since(time.Now())))
	case kindHW:
		if r.marks, err = decodeWatermarks(f, r.marks[:0]); err == nil {
			r.watermarks(r.marks)
		}
	case kindPing:
		var sent uint64
		if sent, err = decodePing(f); err == nil {
			r.ping.Store(sent)
			r.out.post(func(b []byte) []byte { return appendPing(b, kindPong, sent) })
		}
	case kindOpen:
		if r.opens, err = decodeOpens(f, r.opens[:0]); err == nil {
			r.open(ctx, r.opens)
		}
	case kindTruncate:
		if r.cuts, err = decodeTruncates(f, r.cuts[:0]); err == nil {
			for _, t := range r.cuts {
				r.wg.Go(func() { r.truncate(ctx, t) })
			}
		}
	default:
		err = fmt.Errorf("%w: %s from a leader", errFrame, f.kind)
	}
	return err
}
