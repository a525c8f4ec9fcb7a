package meta

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// countingNetwork counts what is written to connections that were dialed.
type countingNetwork struct {
	peer.Network
	writes *atomic.Int64
}

func (n countingNetwork) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := n.Network.DialContext(ctx, addr)
	if err != nil {
		return nil, err
	}
	return countingConn{conn, n.writes}, nil
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestAnIdleLogIsQuiet: with nothing to say the leader sends little more than
// heartbeats, and whatever there is to say is known to all as soon as it would be
// otherwise.
func TestAnIdleLogIsQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		var writes atomic.Int64
		network := q.network
		q.network = func(id cluster.BrokerID) peer.Network { return countingNetwork{network(id), &writes} }
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		register(t, m, 100)
		wait(time.Second)
		const seconds = 10
		before := writes.Load()
		wait(seconds * time.Second)
		// To each of two: heartbeats every 50 to 100 ms, and no more often what is committed.
		n := (writes.Load() - before) / seconds
		t.Logf("%d messages a second", n)
		if n < 2*10 || n > 2*40 {
			t.Errorf("%d messages a second", n)
		}
		for i := range 40 {
			wait(300*time.Millisecond + time.Duration(i)*time.Millisecond)
			id := cluster.BrokerID(200 + i)
			start := time.Now()
			register(t, m, id)
			for _, other := range others(m.id) {
				sees(t, q.members[other], "the new broker", hasBroker(id))
			}
			if took := time.Since(start); took > 15*time.Millisecond {
				t.Errorf("entry %d was known everywhere after %s", i, took)
			}
		}
	})
}

// sentAt is a pipeline that remembers when it was last given something.
type sentAt struct {
	raft.AppendPipeline
	at time.Time
}

func (p *sentAt) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.at = time.Now()
	return nil, nil
}

// TestOnlyWhatSaysNothingWaits sends requests while the log grows.
func TestOnlyWhatSaysNothingWaits(t *testing.T) {
	t.Parallel()
	entries := []*raft.Log{{}}
	for _, tt := range []struct {
		what      string
		log       uint64 // where it ends
		grows     time.Duration
		entries   []*raft.Log
		committed uint64
		waits     time.Duration
	}{
		{what: "an entry", log: 6, entries: entries, committed: 5},
		{what: "more is committed", log: 6, committed: 6},
		{what: "the last entry is not committed", log: 6, committed: 5},
		{what: "nothing", log: 5, committed: 5, waits: quietPause},
		{what: "nothing before the log grows", log: 5, grows: 10 * time.Millisecond, committed: 5, waits: 10 * time.Millisecond},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := &sentAt{}
				p := &quietPipeline{AppendPipeline: to, stored: newStored(), told: 5}
				p.stored.upTo(tt.log)
				if tt.grows > 0 {
					time.AfterFunc(tt.grows, func() { p.stored.upTo(tt.log + 1) })
				}
				start := time.Now()
				if _, err := p.AppendEntries(&raft.AppendEntriesRequest{Entries: tt.entries, LeaderCommitIndex: tt.committed}, nil); err != nil {
					t.Fatal(err)
				}
				if waited := to.at.Sub(start); waited != tt.waits {
					t.Errorf("sent after %s, want %s", waited, tt.waits)
				}
			})
		})
	}
}
