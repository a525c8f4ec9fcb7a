package sim

import "github.com/chronik-project/chronik/internal/cluster"

// oracle knows of one partition what clients were promised, and complains when
// it does not hold:
//
//   - an offset is committed with one value, for good, and a value at one
//     offset;
//   - whoever leads holds all that was committed or acknowledged in earlier
//     epochs, from its first moment on, also when it is committed later;
//   - what consumers read anywhere is what was committed;
//   - a leader that answers for the latest offset knows of all that consumers
//     may have seen before (K15);
//   - an epoch has one leader.
type oracle struct {
	w         *world
	tp        cluster.TopicPartition
	committed []promise // by offset
	acks      []promise
	offsets   map[int64]int64 // of committed values
	leaders   map[cluster.Epoch]cluster.UUID
}

// promise is a value at an offset, made by the leader of an epoch.
type promise struct {
	offset, value int64
	epoch         cluster.Epoch
}

func newOracle(w *world, tp cluster.TopicPartition) *oracle {
	return &oracle{w: w, tp: tp, offsets: map[int64]int64{}, leaders: map[cluster.Epoch]cluster.UUID{}}
}

// leads is called when r begins to lead.
func (o *oracle) leads(r *replica) {
	epoch := r.lead.epoch
	if who, ok := o.leaders[epoch]; ok && who != r.b.uuid() {
		o.w.fail("epoch %d has two leaders: incarnations %v and %v", epoch, who[:2], r.b.uuid())
	}
	o.leaders[epoch] = r.b.uuid()
	for _, p := range o.committed {
		o.holds(r, p, "committed")
	}
	for _, p := range o.acks {
		o.holds(r, p, "acknowledged")
	}
}

// holds checks that the leader r has what an earlier leader promised.
func (o *oracle) holds(r *replica, p promise, what string) {
	if p.epoch >= r.lead.epoch || p.offset < r.end() && r.log[p.offset].value == p.value {
		return
	}
	o.w.fail("LOSS: broker %d leads epoch %d without offset %d = %d, %s in epoch %d", r.b.id, r.lead.epoch, p.offset, p.value, what, p.epoch)
}

func (o *oracle) others(p promise, what string) {
	for _, b := range o.w.brokers {
		if r := b.replica(o.tp); b.up && r != nil && r.lead != nil {
			o.holds(r, p, what)
		}
	}
}

// commit is called when the high watermark of the leader r passes an offset.
func (o *oracle) commit(offset, value int64, r *replica) {
	if offset < int64(len(o.committed)) {
		if was := o.committed[offset]; was.value != value {
			o.w.fail("LOSS: offset %d is committed as %d in epoch %d, and was as %d in epoch %d", offset, value, r.lead.epoch, was.value, was.epoch)
		}
		return
	}
	if at, ok := o.offsets[value]; ok {
		o.w.fail("DUPLICATE: value %d is committed at %d and at %d", value, at, offset)
	}
	p := promise{offset, value, r.lead.epoch}
	if offset > int64(len(o.committed)) {
		o.w.fail("broker %d commits offset %d after %d: it was told so by nobody", r.b.id, offset, len(o.committed))
		return
	}
	o.committed = append(o.committed, p)
	o.offsets[value] = offset
	o.others(p, "committed")
}

// acked is called when a client is told that its batch is safe.
func (o *oracle) acked(offset, value int64, r *replica) {
	for _, c := range o.w.clients {
		if c.tp == o.tp {
			c.acked(value)
		}
	}
	p := promise{offset, value, r.lead.epoch}
	if offset < int64(len(o.committed)) && o.committed[offset].value != value {
		o.w.fail("LOSS: value %d is acknowledged at offset %d, which is committed as %d", value, offset, o.committed[offset].value)
	}
	o.acks = append(o.acks, p)
	o.others(p, "acknowledged")
}

// read compares what a replica shows with what is committed.
func (o *oracle) read(r *replica) {
	if r.hw > int64(len(o.committed)) {
		o.w.fail("broker %d shows %d offsets, %d are committed", r.b.id, r.hw, len(o.committed))
		return
	}
	for offset := range r.hw {
		if got, want := r.log[offset].value, o.committed[offset]; got != want.value {
			o.w.fail("LOSS: broker %d shows offset %d as %d, committed as %d in epoch %d", r.b.id, offset, got, want.value, want.epoch)
			return
		}
	}
}

// latest checks the answer to "what is the latest offset".
func (o *oracle) latest(r *replica) {
	for i := len(o.committed) - 1; i >= int(r.hw); i-- {
		if o.committed[i].epoch < r.lead.epoch {
			o.w.fail("broker %d says that epoch %d ends at %d, consumers have seen offset %d", r.b.id, r.lead.epoch, r.hw, i)
			return
		}
	}
}
