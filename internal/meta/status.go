package meta

import (
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Status is what this member knows of the metadata log, for people to read.
type Status struct {
	Leadership
	// Voters and Observers are the members, by id.
	Voters    []cluster.BrokerID
	Observers []cluster.BrokerID
	// LastIndex is the end of this member's log, CommitIndex how much of it is
	// certain and AppliedIndex how much is in the image.
	LastIndex    uint64
	CommitIndex  uint64
	AppliedIndex uint64
	// LastContact is when the leader was last heard of; zero on the leader and
	// where it never was.
	LastContact time.Time
}

// Status returns a snapshot of the member's state. It does not block.
func (r *Raft) Status() Status {
	lead, _ := r.Leadership()
	s := Status{Leadership: lead}
	m := r.member()
	if m == nil {
		return s
	}
	s.LastIndex, s.CommitIndex, s.AppliedIndex = m.LastIndex(), m.CommitIndex(), m.AppliedIndex()
	if !lead.Self {
		s.LastContact = m.LastContact()
	}
	// Answered from memory, unlike other futures.
	if c := m.GetConfiguration(); c.Error() == nil {
		for _, server := range c.Configuration().Servers {
			if server.Suffrage == raft.Voter {
				s.Voters = append(s.Voters, brokerID(server.ID))
			} else {
				s.Observers = append(s.Observers, brokerID(server.ID))
			}
		}
	}
	slices.Sort(s.Voters)
	slices.Sort(s.Observers)
	return s
}
