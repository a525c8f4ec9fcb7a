package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/replication"
	"github.com/chronik-project/chronik/internal/segment"
)

// entry is a batch of one record in a log.
type entry struct {
	epoch cluster.Epoch
	value int64
	batch record.Batch // stamped; shared by all replicas
	lsn   int          // where it ends in the write-ahead log
}

// sum stands for the checksum of the batch: no two have the same.
func (e entry) sum() uint32 { return uint32(e.value) }

// replica is one broker's copy of a partition: partition.Replica without files.
type replica struct {
	b          *broker
	tp         cluster.TopicPartition
	part       *cluster.Partition
	metaIndex  uint64 // the image that brought its leader epoch
	log        []entry
	epochs     []segment.EpochStart
	producers  *producer.State
	durable    int64
	hw         int64
	maxSeen    cluster.Epoch
	generation int
	round      round
	follow     follow
	lead       *lead
	broken     bool // out of service, and lost
	marked     bool // was lost, and a start that comes now takes it for lost again
	renewedAt  time.Time
}

// round is what a sync round will have synced.
type round struct {
	generation int
	end        int64
	cut        bool
}

// lead is a leadership.
type lead struct {
	epoch   cluster.Epoch
	state   *isr.State
	links   [brokerCount]replication.Outgoing
	told    [brokerCount]int64 // the last ack of each follower
	waiters []waiter
	opening [brokerCount]time.Time
	// suspended says that the lease ran out.
	suspended bool

	// leaving is set by a broken R9: who left before the metadata says so, in
	// sessions that only the in-sync state knows of. pending is set by a broken
	// R15: the join in flight.
	leaving []cluster.BrokerID
	feigned [brokerCount]uint64
	pending pending
}

// waiter is a produce request that waits for the high watermark.
type waiter struct{ base, value int64 }

func newReplica(b *broker, tp cluster.TopicPartition) *replica {
	return &replica{b: b, tp: tp, maxSeen: cluster.NoEpoch, producers: producer.New()}
}

func (r *replica) w() *world  { return r.b.w }
func (r *replica) end() int64 { return int64(len(r.log)) }

// name is topic and partition for traces.
func (r *replica) name() string { return fmt.Sprintf("%d/%d", r.tp.TopicID[1], r.tp.Partition) }

// standing is what production code decides with.
func (r *replica) standing() partition.Standing {
	s := partition.Standing{
		MaxSeenEpoch: r.maxSeen, LeadEpoch: cluster.NoEpoch,
		Session: r.follow.id, SessionEpoch: r.follow.epoch, SessionLeader: r.follow.leader, Cutting: r.follow.cutting,
		LogEnd: r.end(), HighWatermark: r.hw, LastEpoch: cluster.NoEpoch,
	}
	if r.lead != nil {
		s.LeadEpoch = r.lead.epoch
	}
	if n := len(r.log); n > 0 {
		s.LastEpoch, s.LastCRC = r.log[n-1].epoch, r.log[n-1].sum()
	}
	return s
}

// become applies the partition's metadata, as partition.(*Replica).become does.
func (r *replica) become(img *cluster.Image, t *cluster.Topic, p *cluster.Partition, registered bool) {
	if r.follow.cutting {
		r.b.syncAll() // a change of role waits for the cut
	}
	if partition.Outdated(p, r.part) || r.broken {
		return
	}
	if r.part == nil || r.part.LeaderEpoch != p.LeaderEpoch {
		r.metaIndex = img.Index()
	}
	r.part = p
	s := r.standing()
	if r.w().is(ruleR2) {
		s.MaxSeenEpoch = cluster.NoEpoch
	}
	if s.MayLead(p, r.b.id, registered) {
		r.becomeLeader(img, p, cluster.EffectiveMinISR(t, p))
	} else {
		r.becomeFollower(p.LeaderEpoch)
	}
}

func (r *replica) becomeLeader(img *cluster.Image, p *cluster.Partition, minISR int) {
	w, epoch := r.w(), p.LeaderEpoch
	if r.lead != nil && r.lead.epoch >= epoch {
		if r.lead.epoch == epoch {
			r.committed(p, minISR)
			r.setEligible(img)
			r.advance()
		}
		return
	}
	r.stepDown()
	if !w.is(ruleR3) {
		r.follow = follow{}
	}
	r.maxSeen = max(r.maxSeen, epoch)
	r.assignEpoch(epoch)
	term := isr.Term{
		Self: r.b.id, Epoch: epoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR, MinISR: minISR,
		EndOffset: r.end(), DurableEnd: r.durable, HighWatermark: r.hw,
	}
	if w.is(ruleR10) {
		term.EndOffset, term.DurableEnd = r.hw, min(r.durable, r.hw) // nothing before the epoch is asked of joiners
	}
	r.lead = &lead{epoch: epoch, state: isr.New(w.policy, term, w.now)}
	for i := range r.lead.links {
		r.lead.links[i] = replication.NewOutgoing(r.tp, epoch)
	}
	w.tally.elections++
	r.lead.state.Appended(r.end(), w.now)
	if w.tracing {
		w.logf("b%d leads %s epoch %d, in sync %v, end %d, durable %d, hw %d", r.b.id, r.name(), epoch, p.ISR, r.end(), r.durable, r.hw)
	}
	w.oracles[r.tp].leads(r)
	r.setEligible(img)
	r.lead.state.LocalSynced(r.durable, w.now)
	r.advance()
}

// committed hands new metadata of this epoch to the in-sync state.
func (r *replica) committed(p *cluster.Partition, minISR int) {
	w, s := r.w(), r.lead.state
	if p.PartitionEpoch > s.PartitionEpoch() {
		r.comeBack()
	}
	s.Committed(p.PartitionEpoch, p.ISR, minISR, w.now)
}

func (r *replica) becomeFollower(epoch cluster.Epoch) {
	endsLead, endsSession := r.standing().Follows(epoch)
	if endsLead {
		r.stepDown()
	}
	r.maxSeen = max(r.maxSeen, epoch)
	if endsSession && !r.w().is(ruleR3) {
		r.follow = follow{}
	}
}

func (r *replica) stepDown() {
	if r.lead != nil && r.w().tracing {
		r.w().logf("b%d stops leading %s epoch %d", r.b.id, r.name(), r.lead.epoch)
	}
	r.lead = nil
}

func (r *replica) setEligible(img *cluster.Image) {
	for _, id := range r.part.Replicas {
		if b, ok := img.Broker(id); ok {
			r.lead.state.SetEligible(id, b.Eligible(), b.Epoch)
		}
	}
}

func (r *replica) refreshEligible(img *cluster.Image) {
	if r.lead != nil {
		r.setEligible(img)
		r.advance()
	}
}

// advance follows the high watermark and acknowledges what it passed.
func (r *replica) advance() {
	if r.lead == nil {
		return
	}
	w, s := r.w(), r.lead.state
	r.breakGate()
	hw := s.HighWatermark()
	o := w.oracles[r.tp]
	if hw > r.end() {
		w.fail(loss, "broker %d leads epoch %d with a high watermark of %d and a log that ends at %d", r.b.id, r.lead.epoch, hw, r.end())
		return
	}
	if hw > r.hw {
		if w.tracing {
			w.logf("b%d hw of %s %d -> %d, epoch %d", r.b.id, r.name(), r.hw, hw, r.lead.epoch)
		}
		for offset := r.hw; offset < hw; offset++ {
			o.commit(offset, r.log[offset].value, r)
		}
		r.hw = hw
		r.lead.waiters = slices.DeleteFunc(r.lead.waiters, func(x waiter) bool {
			if x.base >= hw {
				return false
			}
			o.acked(x.base, x.value, r)
			return true
		})
	}
	if r.knowsLatest() && !w.is(ruleR10) {
		o.latest(r)
	}
}

// knowsLatest reports whether a leader answers for the latest offset (R14).
func (r *replica) knowsLatest() bool {
	return r.lead.state.HWReachedEpochStart() || r.w().is(ruleR14Latest)
}

// produce is a client's batch, which the leader appends once.
func (r *replica) produce(req request) (err error) {
	if r.lead == nil || r.lead.suspended || r.lead.state.UnderMinISR() {
		return errRetry
	}
	w := r.w()
	batch := req.batch()
	verdict, err := r.producers.Check(batch)
	if err != nil {
		return err
	}
	if verdict.Kind == producer.Duplicate {
		r.await(waiter{verdict.Base, req.value}, w.is(ruleR13))
		return nil
	}
	base := r.end()
	batch.Stamp(base, int32(r.lead.epoch))
	r.write(entry{epoch: r.lead.epoch, value: req.value, batch: batch})
	r.lead.state.Appended(r.end(), w.now)
	if w.tracing {
		w.logf("b%d appends %d at %s %d epoch %d", r.b.id, req.value, r.name(), base, r.lead.epoch)
	}
	r.await(waiter{base, req.value}, false)
	if w.is(ruleOwnDisk) {
		r.lead.state.LocalSynced(r.end(), w.now)
	}
	r.ignoreLeaving()
	r.advance()
	return nil
}

// await acknowledges at once what is committed, R13: duplicates as well.
func (r *replica) await(x waiter, unconditionally bool) {
	if x.base < r.hw || unconditionally {
		r.w().oracles[r.tp].acked(x.base, x.value, r)
		return
	}
	r.lead.waiters = append(r.lead.waiters, x)
}
