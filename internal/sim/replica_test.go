package sim

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// entry is a batch of one record in a log.
type entry struct {
	epoch cluster.Epoch
	value int64
	batch record.Batch // stamped; shared by all replicas
	lsn   int          // where it ends in the write-ahead log
}

// epochStart is the first offset of a leader epoch.
type epochStart struct {
	epoch cluster.Epoch
	start int64
}

// replica is one broker's copy of a partition: partition.Replica without files.
type replica struct {
	b          *broker
	tp         cluster.TopicPartition
	part       *cluster.Partition
	log        []entry
	epochs     []epochStart
	producers  *producer.State
	durable    int64
	hw         int64
	maxSeen    cluster.Epoch
	generation int
	round      round
	follow     follow
	lead       *lead
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
	links   [brokerCount]link
	waiters []waiter
	// leaving is set by a broken R9: who left before the metadata says so.
	leaving []cluster.BrokerID
}

// waiter is a produce request that waits for the high watermark.
type waiter struct{ base, value int64 }

func newReplica(b *broker, tp cluster.TopicPartition) *replica {
	return &replica{b: b, tp: tp, maxSeen: cluster.NoEpoch, producers: producer.New()}
}

func (r *replica) w() *world  { return r.b.w }
func (r *replica) end() int64 { return int64(len(r.log)) }

// become applies the partition's metadata, as partition.(*Replica).become does.
func (r *replica) become(img *cluster.Image, t *cluster.Topic, p *cluster.Partition, registered bool) {
	if r.follow.cutting {
		r.b.syncAll() // a change of role waits for the cut
	}
	if r.part != nil && p.PartitionEpoch < r.part.PartitionEpoch {
		return // K5
	}
	r.part = p
	seen := p.LeaderEpoch >= r.maxSeen || r.w().is(ruleR2)
	if p.Leader == r.b.id && registered && seen { // R1, R2
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
	r.lead.state.Appended(r.end(), w.now)
	if w.tracing {
		w.logf("b%d leads %d/%d epoch %d, in sync %v, end %d, durable %d, hw %d", r.b.id, r.tp.TopicID[1], r.tp.Partition, epoch, p.ISR, r.end(), r.durable, r.hw)
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
	if r.lead != nil && epoch > r.lead.epoch {
		r.stepDown()
	}
	if epoch <= r.maxSeen {
		return
	}
	r.maxSeen = epoch
	if r.follow.id != 0 && r.follow.epoch < epoch && !r.w().is(ruleR3) {
		r.follow = follow{}
	}
}

func (r *replica) stepDown() {
	if r.lead != nil && r.w().tracing {
		r.w().logf("b%d stops leading %d/%d epoch %d", r.b.id, r.tp.TopicID[1], r.tp.Partition, r.lead.epoch)
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
		w.fail("LOSS: broker %d leads epoch %d with a high watermark of %d and a log that ends at %d", r.b.id, r.lead.epoch, hw, r.end())
		return
	}
	if hw > r.hw {
		if w.tracing {
			w.logf("b%d hw of %d/%d %d -> %d, epoch %d", r.b.id, r.tp.TopicID[1], r.tp.Partition, r.hw, hw, r.lead.epoch)
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
	if s.HWReachedEpochStart() && !w.is(ruleR10) {
		o.latest(r)
	}
}

// produce is a client's batch, which the leader appends once.
func (r *replica) produce(req request) (err error) {
	if r.lead == nil || r.lead.state.UnderMinISR() {
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
		w.logf("b%d appends %d at %d/%d %d epoch %d", r.b.id, req.value, r.tp.TopicID[1], r.tp.Partition, base, r.lead.epoch)
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

// write appends to the log and to the write-ahead log, in memory.
func (r *replica) write(e entry) {
	r.b.lsn++
	e.lsn = r.b.lsn
	r.assignEpoch(e.epoch)
	r.log = append(r.log, e)
	r.producers.Update(e.batch, r.w().now)
}

// assignEpoch starts an epoch at the end of the log. Epochs that were to start
// there hold nothing and give way (K4).
func (r *replica) assignEpoch(epoch cluster.Epoch) {
	r.dropEpochs(r.end())
	if n := len(r.epochs); n == 0 || r.epochs[n-1].epoch != epoch {
		r.epochs = append(r.epochs, epochStart{epoch, r.end()})
	}
}

// dropEpochs forgets the epochs that start at end or later.
func (r *replica) dropEpochs(end int64) {
	for n := len(r.epochs); n > 0 && r.epochs[n-1].start >= end; n-- {
		r.epochs = r.epochs[:n-1]
	}
}

// truncate cuts the log and what is a function of it.
func (r *replica) truncate(to int64) {
	r.log = slices.Clone(r.log[:to])
	r.dropEpochs(to)
	r.durable = min(r.durable, to)
	r.hw = min(r.hw, to)
	if !r.w().is(ruleWindows) {
		r.rebuildProducers()
	}
}

func (r *replica) rebuildProducers() {
	r.producers = producer.New()
	for _, e := range r.log {
		r.producers.Update(e.batch, time.Time{})
	}
}

// synced is what the write-ahead log reports after a round. Reports of an older
// generation speak of what was cut since.
func (r *replica) synced(generation int, end int64) {
	if generation != r.generation || end <= r.durable {
		return
	}
	r.durable = end
	before := r.hw
	if r.lead != nil {
		r.lead.state.LocalSynced(end, r.w().now)
		r.advance()
	}
	if r.hw == before && r.follow.acking {
		r.ack(end)
	}
}

// recover is what a restart finds of the log.
func (r *replica) recover(lsn int) {
	keep := int64(survivors(r.log, lsn))
	if r.follow.cutting && r.follow.cutLSN <= lsn {
		keep = min(keep, r.follow.cutTo)
	}
	r.lead, r.follow, r.part, r.round = nil, follow{}, nil, round{}
	r.log = slices.Clone(r.log[:keep])
	r.epochs = nil
	for i, e := range r.log {
		if n := len(r.epochs); n == 0 || r.epochs[n-1].epoch < e.epoch {
			r.epochs = append(r.epochs, epochStart{e.epoch, int64(i)})
		}
	}
	r.maxSeen = cluster.NoEpoch
	if n := len(r.epochs); n > 0 {
		r.maxSeen = r.epochs[n-1].epoch
	}
	r.durable = keep
	r.hw = min(r.hw, keep)
	r.hw = r.w().r.Int64N(r.hw + 1) // as the last checkpoint has it
	r.generation++
	r.rebuildProducers()
}
