package meta

import (
	"net"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// Raft is a broker's member of the replicated metadata log.
type Raft struct {
	o     Options
	board *board
	slots chan struct{} // bounds proposals; a slot is held until raft has answered
	// callers is registered from the start: a member that asks whether there is
	// a cluster is answered while this one still opens its log.
	callers net.Listener
	// admitted is closed when no other process holds this member's place.
	admitted chan struct{}
	look     chan struct{} // holds one: who leads may have changed

	mu       sync.Mutex
	raft     *raft.Raft // guarded by mu; nil while Run is not up
	id       string     // guarded by mu; the persisted cluster id
	hanging  int        // guarded by mu; writes to the log that hang
	waiting  sync.WaitGroup
	stuckOne sync.Once
}

// NewRaft returns a member that does nothing yet: [Raft.Run] opens its
// directory and joins the others.
func NewRaft(o Options) (*Raft, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Raft{o: o, board: newBoard(), admitted: make(chan struct{}), look: make(chan struct{}, 1), slots: make(chan struct{}, o.MaxProposals)}
	if err := r.loadClusterID(); err != nil {
		return nil, err
	}
	r.callers = o.Mux.Listener(peer.KindRaft, peerAddr(o.selfAddr()))
	return r, nil
}

// Image is the latest applied image.
func (r *Raft) Image() *cluster.Image { return r.board.image() }

// Watch returns the latest image and a channel that is closed when it is not
// the latest any more.
func (r *Raft) Watch() (*cluster.Image, <-chan struct{}) { return r.board.watch() }

// AppliedIndex is the index of the latest image.
func (r *Raft) AppliedIndex() uint64 { return r.board.image().Index() }

// Leadership returns who leads and a channel that is closed when that changes.
func (r *Raft) Leadership() (Leadership, <-chan struct{}) { return r.board.leadership() }

// Leader is the broker that leads, NoBroker if none is known.
func (r *Raft) Leader() cluster.BrokerID {
	lead, _ := r.board.leadership()
	return lead.Leader
}

// ClusterID is the id that this broker knows its cluster by, also before it has
// caught up after a restart; empty if it never knew one.
func (r *Raft) ClusterID() string {
	if id := r.board.image().ClusterID(); id != "" {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// member returns raft, or nil before Run and after.
func (r *Raft) member() *raft.Raft {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raft
}

// leadsIn reports whether this member leads, in that term.
func (r *Raft) leadsIn(term uint64) bool {
	m := r.member()
	return m != nil && m.State() == raft.Leader && m.CurrentTerm() == term
}

func (r *Raft) setMember(m *raft.Raft) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raft = m
}

// stuck passes the first fatal error on.
func (r *Raft) stuck(err error) {
	r.stuckOne.Do(func() { r.o.OnStuck(err) })
}
