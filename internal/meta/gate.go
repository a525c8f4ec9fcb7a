package meta

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// errNoVote answers whoever asks a member that must not take part in elections
// yet.
var errNoVote = errors.New("this broker has no metadata yet and does not vote")

// gate keeps a member out of elections while it is closed. A voter that comes
// with an empty disk may have acknowledged entries that are gone: if it voted,
// or counted its own vote, a leader without those entries could be elected.
type gate struct {
	*raft.NetworkTransport
	open atomic.Bool
	// leads reports whether this member still leads in a term, reach whether
	// another one can be dialed, and stored how far this member's own log goes. They
	// are set before raft is started.
	leads  func(term uint64) bool
	reach  func(id raft.ServerID) error
	stored *stored
	rpcs   chan raft.RPC
	stop   chan struct{}
	pump   sync.WaitGroup
}

var (
	_ raft.Transport   = (*gate)(nil)
	_ raft.WithPreVote = (*gate)(nil)
)

// newGate returns a closed gate. Call run, and wait for it with shut.
func newGate(t *raft.NetworkTransport) *gate {
	return &gate{NetworkTransport: t, rpcs: make(chan raft.RPC), stop: make(chan struct{})}
}

// Consumer is where raft takes the messages of other members.
func (g *gate) Consumer() <-chan raft.RPC { return g.rpcs }

// run passes messages on until shut is called.
func (g *gate) run() {
	for {
		select {
		case rpc := <-g.NetworkTransport.Consumer():
			if !g.open.Load() && refuse(rpc) {
				continue
			}
			select {
			case g.rpcs <- rpc:
			case <-g.stop:
				return
			}
		case <-g.stop:
			return
		}
	}
}

// shut ends run and waits for it.
func (g *gate) shut() {
	close(g.stop)
	g.pump.Wait()
}

// refuse answers what belongs to an election, and reports that it has.
func refuse(rpc raft.RPC) bool {
	switch req := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: req.RPCHeader}, nil)
	case *raft.RequestPreVoteRequest:
		rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: req.RPCHeader}, nil)
	case *raft.TimeoutNowRequest:
		rpc.Respond(&raft.TimeoutNowResponse{RPCHeader: req.RPCHeader}, errNoVote)
	default:
		return false
	}
	return true
}

// RequestVote asks a member for its vote.
func (g *gate) RequestVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if !g.open.Load() {
		return fmt.Errorf("ask %s for a vote: %w", id, errNoVote)
	}
	return g.NetworkTransport.RequestVote(id, to, req, resp)
}

// RequestPreVote asks a member whether it would vote.
func (g *gate) RequestPreVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if !g.open.Load() {
		return fmt.Errorf("ask %s for a vote: %w", id, errNoVote)
	}
	return g.NetworkTransport.RequestPreVote(id, to, req, resp)
}
