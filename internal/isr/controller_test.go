package isr_test

import (
	"errors"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// apply runs a command on the controller's image.
func (w *world) apply(cmd cluster.Command) cluster.Result {
	img := w.images[len(w.images)-1]
	next, res := cluster.Apply(img, img.Index()+1, cmd)
	w.images = append(w.images, next)
	return res
}

// partition is the truth, which the leader may not know yet.
func (w *world) partition() *cluster.Partition {
	_, p, _ := w.images[len(w.images)-1].Partition(w.tp)
	return p
}

func (w *world) register(f *follower) {
	res := w.apply(cluster.RegisterBroker{Broker: cluster.Broker{
		ID: f.id, Incarnation: cluster.UUID{byte(f.id), f.incarnation}, Directory: cluster.UUID{byte(f.id), f.directory},
	}})
	f.epoch, f.lost = res.BrokerEpoch, false
}

func (w *world) tick() {
	p, due := w.state.Tick(w.now)
	if !due {
		return
	}
	w.logf("proposal %d pe %d add %v remove %v: %s", p.Seq, p.PartitionEpoch, p.Add, p.Remove, p.Reason)
	w.checkProposal(p)
	switch w.r.IntN(5) {
	case 0: // it never leaves
		w.resolve(p, isr.OutcomeRejected)
	case 1: // it is lost on the way
		w.resolve(p, isr.OutcomeUnknown)
	case 2: // it is late: the sender gives up first
		w.copies = append(w.copies, sentProposal{p, true})
		w.resolve(p, isr.OutcomeUnknown)
	default:
		w.copies = append(w.copies, sentProposal{p, false})
	}
}

func (w *world) resolve(p isr.Proposal, outcome isr.Outcome) {
	w.logf("resolve %d %s", p.Seq, outcome)
	if w.flying && p.Seq == w.last.Seq && outcome == isr.OutcomeRejected {
		if w.alive--; w.alive == 0 {
			w.flying = false
		}
	}
	w.state.Resolve(p, outcome, w.now)
}

// controller judges some copy of a proposal; its answer may be lost.
func (w *world) controller() {
	if len(w.copies) == 0 {
		return
	}
	i := w.r.IntN(len(w.copies))
	c := w.copies[i]
	w.copies = slices.Delete(w.copies, i, i+1)
	outcome := w.decide(c.p)
	if c.resolved {
		return
	}
	if w.r.IntN(4) == 0 {
		outcome = isr.OutcomeUnknown
	}
	w.resolve(c.p, outcome)
}

func (w *world) decide(p isr.Proposal) isr.Outcome {
	leader := w.followers[worldLeader]
	res := w.apply(cluster.AlterISR{Broker: worldLeader, BrokerEpoch: leader.epoch, Changes: []cluster.ISRChange{{
		TP: w.tp, LeaderEpoch: p.Epoch, PartitionEpoch: p.PartitionEpoch, ISR: p.ISR, Reason: p.Reason,
	}}})
	w.logf("controller on proposal %d: %v %v, isr %v", p.Seq, res.Err, res.Errs, w.partition().ISR)
	if res.Err != nil {
		w.fail("controller refuses: %v", res.Err)
		return isr.OutcomeUnknown
	}
	switch err := res.Errs[0]; {
	case err == nil:
		return isr.OutcomeAccepted
	case errors.Is(err, cluster.ErrIneligibleReplica):
		return isr.OutcomeRejected
	default:
		return isr.OutcomeStale
	}
}

// metadata lets the leader apply the next image, or all there are. It may hear
// of brokers before or after it hears of the partition.
func (w *world) metadata() {
	if w.seen == len(w.images)-1 {
		return
	}
	next := w.seen + 1
	if w.r.IntN(3) == 0 {
		next = len(w.images) - 1
	}
	img := w.images[next]
	if w.r.IntN(2) == 0 {
		w.applyEligible(img)
		if err := w.check(); err != nil {
			w.fail("between brokers and partition: %w", err)
		}
	}
	w.seen = next
	_, p, _ := img.Partition(w.tp)
	w.logf("metadata pe %d isr %v", p.PartitionEpoch, p.ISR)
	if p.PartitionEpoch > w.state.PartitionEpoch() {
		w.flying = false
	}
	w.state.Committed(p.PartitionEpoch, p.ISR, worldMinISR, w.now)
	w.applyEligible(img)
}

func (w *world) applyEligible(img *cluster.Image) {
	for _, b := range img.Brokers() {
		w.state.SetEligible(b.ID, b.Eligible(), b.Epoch)
		for _, id := range w.last.Add {
			if id == b.ID && !slices.Contains(w.last.ISR, cluster.ISRMember{ID: id, Epoch: b.Epoch}) {
				w.flying = false // what it was proposed as is over
			}
		}
	}
}

// repair brings a follower one step nearer to being eligible.
func (w *world) repair(f *follower) {
	b, _ := w.images[len(w.images)-1].Broker(f.id)
	switch {
	case !f.up:
		f.up = true
		w.logf("up %d", f.id)
	case f.epoch == 0:
		w.register(f)
		w.logf("registered %d epoch %d", f.id, f.epoch)
	case b.Fenced:
		w.logf("unfenced %d", f.id)
		w.apply(cluster.UnfenceBroker{ID: f.id, Epoch: f.epoch})
	case b.Draining:
		w.crash(f)
	}
}

// harm does something to a follower that brokers must live with.
func (w *world) harm(f *follower) {
	b, _ := w.images[len(w.images)-1].Broker(f.id)
	switch k := w.r.IntN(20); {
	case k < 6 && f.up:
		w.crash(f)
	case k < 10:
		w.closeSession(f)
	case k < 11 && !b.Fenced:
		w.logf("drained %d", f.id)
		w.apply(cluster.DrainBroker{ID: f.id, Epoch: b.Epoch})
	case k < 15 && !b.Fenced:
		w.logf("fenced %d", f.id)
		w.apply(cluster.FenceBroker{ID: f.id, Epoch: b.Epoch})
	case k < 18: // the follower hangs, or this process does
		w.now = w.now.Add(time.Duration(w.r.Int64N(int64(5 * time.Second))))
	}
}

func (w *world) crash(f *follower) {
	f.up, f.session, f.epoch = false, 0, 0
	f.incarnation++
	switch w.r.IntN(8) {
	case 0:
		f.disk, f.memory, f.lost = 0, 0, true
		f.directory++
		w.logf("wiped %d", f.id)
	case 1, 2, 3:
		f.disk = f.memory // the page cache survives a kill
		w.logf("killed %d disk %d", f.id, f.disk)
	default:
		f.memory = f.disk
		w.logf("power loss %d disk %d", f.id, f.disk)
	}
}
