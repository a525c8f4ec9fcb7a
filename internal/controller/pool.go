package controller

import (
	"net"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
)

// maxIdleConns bounds the connections that a client keeps for the next call.
const maxIdleConns = 8

// pooled is a connection to a broker.
type pooled struct {
	net.Conn
	to cluster.BrokerID
}

// pool keeps connections between calls, all to the same broker.
type pool struct {
	keep int // at most

	mu     sync.Mutex
	idle   []*pooled // guarded by mu
	closed bool      // guarded by mu
}

// take returns a kept connection to the broker, or nil, and closes those to
// others.
func (p *pool) take(to cluster.BrokerID) *pooled {
	p.mu.Lock()
	var found *pooled
	var stale []*pooled
	for len(p.idle) > 0 && found == nil {
		conn := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if conn.to == to {
			found = conn
		} else {
			stale = append(stale, conn)
		}
	}
	p.mu.Unlock()
	closeAll(stale)
	return found
}

// give returns a connection for the next call, if it is sound.
func (p *pool) give(conn *pooled, sound bool) {
	p.mu.Lock()
	kept := sound && !p.closed && len(p.idle) < p.keep
	if kept {
		p.idle = append(p.idle, conn)
	}
	p.mu.Unlock()
	if !kept {
		closeAll([]*pooled{conn})
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	closeAll(idle)
}

func closeAll(conns []*pooled) {
	for _, conn := range conns {
		_ = conn.Close() // nothing was being said over it
	}
}
