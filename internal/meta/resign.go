package meta

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// A leader whose disk hangs decides nothing and keeps its office: its heartbeats
// need no disk. So it gives the office up. As long as raft itself is not waiting
// for the disk it can be asked to, which [Raft.Resign] does; a write that hangs
// has raft wait inside it, and then this member falls silent (see hang).

// Resign has another voter lead, if this member does and there is another. It
// waits for the outcome; without it the others know no less than before.
func (r *Raft) Resign(ctx context.Context) error {
	if lead, _ := r.Leadership(); !lead.Self || len(Voters(r.o.Peers)) < 2 {
		return nil
	}
	if err := r.await(ctx, func(m *raft.Raft) error { return m.LeadershipTransfer().Error() }); err != nil {
		return fmt.Errorf("hand the metadata log over: %w", err)
	}
	return nil
}

// hang is told when a write to the log hangs, and when it has ended after all. In
// between this member sends nothing, so that the others elect one of them, and
// does not count as the leader here either. If the write ends late it finds
// another leader in a newer term (I33).
func (r *Raft) hang(s *stream, hangs bool) {
	if len(Voters(r.o.Peers)) < 2 {
		return // nobody could take over
	}
	r.mu.Lock()
	if hangs {
		r.hanging++
	} else {
		r.hanging--
	}
	mute := r.hanging > 0
	s.mute(mute) // under mu: of two writes that end at once, the last has the last word
	r.mu.Unlock()
	if mute {
		r.o.Logger.Warn("the metadata log's disk does not answer: leaving the lead to others")
	}
	select {
	case r.look <- struct{}{}:
	default: // it will
	}
}

// hangs reports whether a write to the log hangs.
func (r *Raft) hangs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hanging > 0
}
