// Package isr is the leader's view of one partition during one leader epoch:
// which replicas are in sync, how far each of them is durable, and therefore
// how far the log is committed. It decides when the in-sync set should change
// and says why, and it knows which replica acknowledgements waited for.
//
// It is pure: facts go in, consequences come out. It has no clock (now is an
// argument), no lock, no goroutine and no IO, and knows nothing of logs, links
// or consensus. Whoever owns a [State] serialises the calls, carries its
// proposals to the controller and tells it what the metadata says.
//
// # Rules
//
// The numbers are those of docs/invariants.md; R and K refer to the rules of
// the replication protocol and of Kafka that are named there.
//
//	I1  The high watermark never decreases and never exceeds the log's end.
//	I2  It moves only to an offset that every member of the maximal in-sync
//	    set, and the leader, has reported durable in a session of this epoch.
//	    The maximal set is the committed one and whoever may be about to join.
//	I3  It moves only while the committed set has min.insync.replicas members.
//	I4  A replica counts before its join is proposed and, if it leaves, until
//	    the metadata says so.
//	I5  One proposal is in flight at a time. While its outcome is unknown it
//	    stays in flight, and exactly it is sent again.
//	I6  A join is proposed only for a replica that is durable up to the high
//	    watermark and to the epoch's start, in a session of this epoch, under
//	    the broker epoch that the metadata knows, and eligible.
//	I7  An ack of any other session than the replica's current one counts
//	    nothing.
//
// A new leader epoch is a new State: no position survives it.
package isr

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Term is a leadership as it begins.
type Term struct {
	// Self is the leader.
	Self cluster.BrokerID
	// Epoch is the leader epoch; PartitionEpoch is that of the metadata that
	// Replicas and ISR come from.
	Epoch          cluster.Epoch
	PartitionEpoch cluster.PartitionEpoch
	// Replicas is the assignment, ISR the committed in-sync set.
	Replicas, ISR []cluster.BrokerID
	// MinISR is the effective min.insync.replicas.
	MinISR int
	// EndOffset is the log's end and so the start of the epoch; DurableEnd is
	// the part of it that this broker's disk holds for certain; HighWatermark
	// is what this broker knew as a follower, which may be behind the truth.
	EndOffset, DurableEnd, HighWatermark int64
}

// State is the leader's state of one partition in one epoch. Create it with
// [New]; it is not safe for concurrent use.
//
// Most methods report whether the high watermark moved. It can move in any of
// them, as a replica that is no longer waited for stops holding it back.
type State struct {
	o              Options
	clock          clock
	epoch          cluster.Epoch
	partitionEpoch cluster.PartitionEpoch
	minISR         int
	replicas       []replica // in assignment order
	self           int       // the leader's index in replicas
	isr            []cluster.BrokerID

	// epochStart is the log's end when the epoch began.
	epochStart int64
	// end is the log's end.
	//
	// Invariant: epochStart <= end
	end int64
	// highWatermark is the committed end.
	//
	// Invariant: highWatermark <= end
	highWatermark int64

	history history
	window  window
	flight  flight
}

// New returns the state at the beginning of a term. It does not move the high
// watermark: the first [State.LocalSynced] does, if the leader is alone.
//
// Members of the in-sync set start as caught up now, everybody's position as
// unknown (K4). Call [State.SetEligible] for every replica, the leader
// included, before the first [State.Tick].
func New(o Options, term Term, now time.Time) *State {
	o = o.withDefaults()
	s := &State{
		o:              o,
		clock:          clock{start: now},
		epoch:          term.Epoch,
		partitionEpoch: term.PartitionEpoch,
		minISR:         term.MinISR,
		epochStart:     term.EndOffset,
		end:            term.EndOffset,
		highWatermark:  min(term.HighWatermark, term.EndOffset),
		history:        newHistory(o.LagTimeMax),
	}
	for _, id := range term.Replicas {
		s.add(id)
	}
	for _, id := range term.ISR {
		s.add(id)
	}
	s.self = s.add(term.Self)
	self := &s.replicas[s.self]
	self.durable, self.appended, self.link.open = term.DurableEnd, term.EndOffset, true
	s.setMembers(term.ISR)
	for i := range s.replicas {
		if s.replicas[i].inISR {
			s.replicas[i].caughtUp = 0
		}
	}
	return s
}

// add returns the index of the replica, which becomes one if it was not: a
// member that the assignment does not name must hold the high watermark back
// rather than be overlooked.
func (s *State) add(id cluster.BrokerID) int {
	if i := s.index(id); i >= 0 {
		return i
	}
	s.replicas = append(s.replicas, newReplica(id))
	return len(s.replicas) - 1
}

// index finds a replica, -1 if the broker is none. A partition has a handful.
func (s *State) index(id cluster.BrokerID) int {
	for i := range s.replicas {
		if s.replicas[i].id == id {
			return i
		}
	}
	return -1
}

// follower finds a replica other than the leader.
func (s *State) follower(id cluster.BrokerID) (r *replica, index int, ok bool) {
	i := s.index(id)
	if i < 0 || i == s.self {
		return nil, -1, false
	}
	return &s.replicas[i], i, true
}

// setMembers makes ids the committed in-sync set, in the order of assignment.
func (s *State) setMembers(ids []cluster.BrokerID) {
	for _, id := range ids {
		s.add(id)
	}
	s.isr = make([]cluster.BrokerID, 0, len(ids))
	for i := range s.replicas {
		r := &s.replicas[i]
		r.inISR = slices.Contains(ids, r.id)
		if r.inISR {
			s.isr = append(s.isr, r.id)
		}
	}
}

// Epoch is the leader epoch that this state belongs to.
func (s *State) Epoch() cluster.Epoch { return s.epoch }

// PartitionEpoch is that of the newest metadata seen.
func (s *State) PartitionEpoch() cluster.PartitionEpoch { return s.partitionEpoch }

// EpochStart is the log's end when the epoch began.
func (s *State) EpochStart() int64 { return s.epochStart }

// HighWatermark is the exclusive end of what is committed.
func (s *State) HighWatermark() int64 { return s.highWatermark }

// HWReachedEpochStart reports whether the high watermark is certain to be no
// lower than that of any earlier leader. Until then the latest offset is
// unknown, and asking for it must be answered so (K15).
func (s *State) HWReachedEpochStart() bool { return s.highWatermark >= s.epochStart }

// ISR is the committed in-sync set in the order of assignment. It is shared:
// do not modify it.
func (s *State) ISR() []cluster.BrokerID { return s.isr }

// MaximalISR is the committed in-sync set and whoever is about to join it: all
// that the high watermark waits for.
func (s *State) MaximalISR() []cluster.BrokerID {
	ids := make([]cluster.BrokerID, 0, len(s.replicas))
	for i := range s.replicas {
		if s.replicas[i].counts() {
			ids = append(ids, s.replicas[i].id)
		}
	}
	return ids
}

// UnderMinISR reports whether the committed in-sync set is too small for
// anything to be committed (K13) or accepted with acks=all (K24).
func (s *State) UnderMinISR() bool { return len(s.isr) < s.minISR }
