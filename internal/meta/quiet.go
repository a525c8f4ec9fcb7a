package meta

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// quietPause is how long a member is told nothing that it knows. Heartbeats go to
// it all the same.
const quietPause = 50 * time.Millisecond

// AppendEntriesPipeline opens a connection for entries to a member that has
// caught up.
func (g *gate) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := g.NetworkTransport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return &quietPipeline{AppendPipeline: p, stored: g.stored}, nil
}

// quietPipeline holds back what says nothing. Raft tells each member every
// [Options.CommitTimeout] how much is committed, so that it learns of the last
// entry soon: with nothing to do, that alone is what a broker does.
type quietPipeline struct {
	raft.AppendPipeline
	stored *stored
	told   uint64 // how much is committed, in the last request
}

// AppendEntries sends a request. If it says nothing new and the whole log is
// committed, it waits for another entry first, for a while.
func (p *quietPipeline) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	committed := req.LeaderCommitIndex
	if len(req.Entries) == 0 && committed == p.told {
		p.stored.awaitAfter(committed, quietPause)
	}
	p.told = committed
	return p.AppendPipeline.AppendEntries(req, resp)
}

// stored is how far this member's own log goes.
type stored struct {
	mu   sync.Mutex
	last uint64        // guarded by mu
	more chan struct{} // guarded by mu; closed when last changes
}

func newStored() *stored { return &stored{more: make(chan struct{})} }

// upTo says that the log ends at this entry.
func (s *stored) upTo(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = index
	close(s.more)
	s.more = make(chan struct{})
}

// awaitAfter returns when the log goes beyond an entry, at the latest after d.
func (s *stored) awaitAfter(index uint64, d time.Duration) {
	s.mu.Lock()
	last, more := s.last, s.more
	s.mu.Unlock()
	if last > index {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-more:
	case <-timer.C:
	}
}
