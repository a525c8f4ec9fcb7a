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
//     may have seen before (K15), so that for a consumer it never goes back;
//   - an epoch has one leader.
type oracle struct {
	w         *world
	tp        cluster.TopicPartition
	committed []promise // by offset
	acks      []promise
	offsets   map[int64]int64 // of committed values
	leaders   map[cluster.Epoch]cluster.UUID
	consumer  consumer
}

// consumer reads wherever it likes, but from nobody whose leader epoch is older
// than one that it has met.
type consumer struct {
	epoch    cluster.Epoch
	position int64
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
		o.w.fail(split, "epoch %d has two leaders: incarnations %v and %v", epoch, who[:2], r.b.uuid())
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
	o.w.fail(loss, "broker %d leads epoch %d without offset %d = %d, %s in epoch %d", r.b.id, r.lead.epoch, p.offset, p.value, what, p.epoch)
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
			o.w.fail(loss, "offset %d is committed as %d in epoch %d, and was as %d in epoch %d", offset, value, r.lead.epoch, was.value, was.epoch)
		}
		return
	}
	if at, ok := o.offsets[value]; ok {
		o.w.fail(duplicate, "value %d is committed at %d and at %d", value, at, offset)
	}
	p := promise{offset, value, r.lead.epoch}
	if offset > int64(len(o.committed)) {
		o.w.fail(invariant, "broker %d commits offset %d after %d: it was told so by nobody", r.b.id, offset, len(o.committed))
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
			o.w.tally.acked += c.acked(value)
		}
	}
	p := promise{offset, value, r.lead.epoch}
	if offset < int64(len(o.committed)) && o.committed[offset].value != value {
		o.w.fail(loss, "value %d is acknowledged at offset %d, which is committed as %d", value, offset, o.committed[offset].value)
	}
	o.acks = append(o.acks, p)
	o.others(p, "acknowledged")
}

// read compares what a replica shows, up to an offset, with what is committed.
func (o *oracle) read(r *replica, to int64) {
	if to > int64(len(o.committed)) {
		o.w.fail(shown, "broker %d shows %d offsets, %d are committed", r.b.id, to, len(o.committed))
		return
	}
	for offset := range to {
		if got, want := r.log[offset].value, o.committed[offset]; got != want.value {
			o.w.fail(loss, "broker %d shows offset %d as %d, committed as %d in epoch %d", r.b.id, offset, got, want.value, want.epoch)
			return
		}
	}
}

// latest checks the answer to "what is the latest offset".
func (o *oracle) latest(r *replica) {
	for i := len(o.committed) - 1; i >= int(r.hw); i-- {
		if o.committed[i].epoch < r.lead.epoch {
			o.w.fail(shown, "broker %d says that epoch %d ends at %d, consumers have seen offset %d", r.b.id, r.lead.epoch, r.hw, i)
			return
		}
	}
}

// consume reads a replica as a consumer does, and asks a leader for the latest
// offset: what it says then is no less than what the consumer has seen.
func (o *oracle) consume(r *replica, to int64) {
	c := &o.consumer
	if r.maxSeen < c.epoch {
		return
	}
	c.epoch = r.maxSeen
	o.read(r, to)
	if r.lead != nil && !r.lead.suspended && r.knowsLatest() && to < c.position {
		o.w.fail(shown, "for a consumer %s goes back from %d to %d: broker %d, epoch %d", r.name(), c.position, to, r.b.id, r.lead.epoch)
	}
	c.position = max(c.position, to)
}
