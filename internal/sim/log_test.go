package sim

import (
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/segment"
)

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
	if n := len(r.epochs); n == 0 || r.epochs[n-1].Epoch != epoch {
		r.epochs = append(r.epochs, segment.EpochStart{Epoch: epoch, Start: r.end()})
	}
}

// dropEpochs forgets the epochs that start at end or later.
func (r *replica) dropEpochs(end int64) {
	for n := len(r.epochs); n > 0 && r.epochs[n-1].Start >= end; n-- {
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
		if n := len(r.epochs); n == 0 || r.epochs[n-1].Epoch < e.epoch {
			r.epochs = append(r.epochs, segment.EpochStart{Epoch: e.epoch, Start: int64(i)})
		}
	}
	r.maxSeen = cluster.NoEpoch
	if n := len(r.epochs); n > 0 {
		r.maxSeen = r.epochs[n-1].Epoch
	}
	r.durable = keep
	r.hw = min(r.hw, keep)
	r.hw = r.w().r.Int64N(r.hw + 1) // as the last checkpoint has it
	r.generation++
	r.rebuildProducers()
}
