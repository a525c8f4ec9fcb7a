package partition

import (
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// Standing is what a replica decides by whom it leads and follows. It is a copy
// of a few numbers, and what is decided with it is pure: the simulation decides
// with the same.
type Standing struct {
	// MaxSeenEpoch is the newest leader epoch met in metadata or on a link.
	MaxSeenEpoch cluster.Epoch
	// LeadEpoch is the epoch that it leads, NoEpoch when it leads none.
	LeadEpoch cluster.Epoch

	// Session is the inbound session that may append, 0 for none.
	Session       uint64
	SessionEpoch  cluster.Epoch
	SessionLeader cluster.BrokerID
	// Cutting says that a truncation is under way.
	Cutting bool

	LogStart, LogEnd, HighWatermark int64
	// LastEpoch and LastCRC are those of the last batch; NoEpoch for an empty log.
	LastEpoch cluster.Epoch
	LastCRC   uint32
}

// standing returns the replica's. REQUIRES: r.mu is held, and the replica has a
// log.
func (r *Replica) standing() Standing {
	s := Standing{
		MaxSeenEpoch: r.maxSeenEpoch, LeadEpoch: cluster.NoEpoch,
		Session: r.follow.id, SessionEpoch: r.follow.epoch, SessionLeader: r.follow.leader, Cutting: r.follow.cutting,
		LogStart: r.log.StartOffset(), LogEnd: r.log.EndOffset(), HighWatermark: r.highWatermark, LastEpoch: cluster.NoEpoch,
	}
	if r.lead != nil {
		s.LeadEpoch = r.lead.epoch
	}
	if epoch, crc, ok := r.log.Last(); ok {
		s.LastEpoch, s.LastCRC = epoch, crc
	}
	return s
}

// Outdated reports whether p is older than the metadata already acted on (K5).
func Outdated(p, acted *cluster.Partition) bool {
	return acted != nil && p.PartitionEpoch < acted.PartitionEpoch
}

// MayLead reports whether broker self leads as p says: under the registration of
// this very process (R1), and in no epoch older than one it has met (R2).
func (s Standing) MayLead(p *cluster.Partition, self cluster.BrokerID, registered bool) bool {
	return p.Leader == self && registered && p.LeaderEpoch >= s.MaxSeenEpoch
}

// Follows says what metadata that names another leader ends: the leadership of
// an older epoch, and the session of one (R3).
func (s Standing) Follows(epoch cluster.Epoch) (endsLead, endsSession bool) {
	endsLead = s.LeadEpoch != cluster.NoEpoch && epoch > s.LeadEpoch
	return endsLead, epoch > s.MaxSeenEpoch && s.Session != 0 && s.SessionEpoch < epoch
}

// MayOpen says whether a broker that has applied the image of that index can
// answer an Open at all: before its own registration it would speak of an older
// one, and a partition that it does not have may be in metadata that is on its
// way (R5). ErrNotReady: park. ErrRemoved: never.
func MayOpen(registered, exists bool, metaIndex, applied uint64) error {
	switch {
	case !registered || (!exists && metaIndex > applied):
		return ErrNotReady
	case !exists:
		return ErrRemoved
	default:
		return nil
	}
}

// Accepts says whether the replica follows req: nobody whose epoch is older than
// one it has met (R2), leads, or has a batch of. A session is preempted by any
// but an older one of the same leader (R5).
func (s Standing) Accepts(req OpenRequest) (detail string, cause error) {
	switch {
	case req.Epoch < s.MaxSeenEpoch,
		s.LeadEpoch != cluster.NoEpoch && s.LeadEpoch >= req.Epoch,
		s.LastEpoch > req.Epoch:
		return fmt.Sprintf("asked to follow broker %d in epoch %d", req.Leader, req.Epoch), ErrFencedEpoch
	case s.Session != 0 && s.SessionEpoch == req.Epoch && s.SessionLeader == req.Leader && s.Session > req.Session:
		return "a newer session is open", ErrStaleSession
	default:
		return "", nil
	}
}

// Run is what whole batches without a gap hold.
type Run struct {
	Base, Next            int64 // offsets [Base, Next)
	FirstEpoch, LastEpoch cluster.Epoch
}

// Continues says why the run is not what comes next in this log, in the leader's
// as in this one (R6); nothing if it is. Base and the batch before it are what
// the leader's frame says.
func (s Standing) Continues(base int64, prevEpoch cluster.Epoch, prevCRC uint32, run Run) (why string) {
	// An empty log may start within a batch, as the leader's may.
	within := s.LogStart == s.LogEnd && run.Base < s.LogEnd && s.LogEnd < run.Next
	holds := s.LastEpoch != cluster.NoEpoch
	switch {
	case s.Cutting:
		return "data during a truncation"
	case base != s.LogEnd:
		return fmt.Sprintf("batch at %d, log end %d", base, s.LogEnd)
	case holds && (s.LastEpoch != prevEpoch || s.LastCRC != prevCRC):
		return fmt.Sprintf("at %d: leader's previous batch is epoch %d crc %08x, ours epoch %d crc %08x",
			base, prevEpoch, prevCRC, s.LastEpoch, s.LastCRC)
	case run.Base != base && !within:
		return fmt.Sprintf("frame says base %d, its first batch %d", base, run.Base)
	case holds && run.FirstEpoch < s.LastEpoch, run.LastEpoch > s.SessionEpoch:
		return fmt.Sprintf("batches of epochs %d to %d, after epoch %d, from the leader of epoch %d",
			run.FirstEpoch, run.LastEpoch, s.LastEpoch, s.SessionEpoch)
	default:
		return ""
	}
}

// MayCut says whether the log may be cut to an offset: never below what is
// committed (R7).
func (s Standing) MayCut(to int64) error {
	if to < s.HighWatermark {
		return fmt.Errorf("to %d, high watermark %d: %w", to, s.HighWatermark, ErrTruncateCommitted)
	}
	return nil
}

// Forgotten reports whether nothing that a failed replica ever told anybody
// counts, so that an empty log may take its place while the broker runs: nobody
// elects it or waits for it, and the sessions, acknowledgements and in-sync
// proposals that it was part of are of an epoch that is over. maxSeen is the
// newest that it was part of.
func Forgotten(p *cluster.Partition, self cluster.BrokerID, maxSeen cluster.Epoch) bool {
	return !p.InISR(self) && !p.InELR(self) && p.LeaderEpoch > maxSeen
}

// Vouched reports whether every in-sync follower has been heard from lately in a
// session of this epoch: each would have closed it first had it moved on to a
// newer one. An in-sync set of one has nobody to vouch for it.
func Vouched(followers []isr.FollowerStatus, heard func(cluster.BrokerID) bool) bool {
	somebody := false
	for _, f := range followers {
		if !f.InISR {
			continue
		}
		if f.DurableEnd < 0 || !heard(f.ID) {
			return false
		}
		somebody = true
	}
	return somebody
}
