package meta

import (
	"errors"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// redialPause is between two attempts of a leader to reach a member that
// nobody answers for.
const redialPause = 50 * time.Millisecond

// unreachableError is a failed dial: the member was sent nothing.
type unreachableError struct{ err error }

func (e unreachableError) Error() string { return e.err.Error() }
func (e unreachableError) Unwrap() error { return e.err }

// AppendEntries sends entries to a member. If the member cannot be reached it
// fails only when it can, or this one no longer leads: raft would double its
// pause after every failure, up to ten seconds, and a broker that starts late
// would wait as long for its metadata. Heartbeats fail at once, as raft keeps
// their pauses short.
func (g *gate) AppendEntries(id raft.ServerID, to raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := g.NetworkTransport.AppendEntries(id, to, req, resp)
	if !isHeartbeat(req) {
		g.awaitReachable(id, req.Term, err)
	}
	return err
}

// InstallSnapshot is [gate.AppendEntries] for a member that is too far behind.
func (g *gate) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	err := g.NetworkTransport.InstallSnapshot(id, to, req, resp, data)
	g.awaitReachable(id, req.Term, err)
	return err
}

// isHeartbeat recognises a message as raft's own transport does.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return req.PrevLogEntry == 0 && req.PrevLogTerm == 0 && len(req.Entries) == 0 && req.LeaderCommitIndex == 0
}

// awaitReachable dials a member that could not be dialed until that succeeds or
// this one no longer leads in term.
func (g *gate) awaitReachable(id raft.ServerID, term uint64, err error) {
	unreachable := unreachableError{}
	for errors.As(err, &unreachable) && g.leads(term) {
		timer := time.NewTimer(redialPause)
		select {
		case <-timer.C:
		case <-g.stop:
			timer.Stop()
			return
		}
		err = g.reach(id)
	}
}
