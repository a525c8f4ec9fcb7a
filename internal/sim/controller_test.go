package sim

import (
	"errors"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

func (w *world) newest() *cluster.Image { return w.images[len(w.images)-1] }

// apply appends a command to the metadata log.
func (w *world) apply(cmd cluster.Command) cluster.Result {
	img := w.newest()
	next, res := cluster.Apply(img, img.Index()+1, cmd)
	if w.is(ruleFirstReplica) {
		electFirst(img, next)
	}
	w.images = append(w.images, next)
	w.checkImage(img, next)
	return res
}

// checkImage checks what every image promises.
func (w *world) checkImage(old, img *cluster.Image) {
	for _, t := range cluster.Diff(old, img).Changed {
		for i, p := range t.Partitions {
			if w.tracing {
				if _, was, ok := old.Partition(t.TopicPartition(i)); !ok || was != p {
					w.logf("metadata %d: %d/%d leader %d epoch %d, in sync %v, eligible %v, partition epoch %d",
						len(w.images)-1, t.ID[1], i, p.Leader, p.LeaderEpoch, p.ISR, p.ELR, p.PartitionEpoch)
				}
			}
			for _, id := range p.ISR {
				if b, _ := img.Broker(id); !p.HasReplica(id) || b == nil || b.Fenced {
					w.fail(invariant, "in-sync member %d of %v is no replica, or fenced", id, p.ISR)
				}
			}
			if !w.is(ruleFirstReplica) && (p.Leader != cluster.NoBroker) != p.InISR(p.Leader) {
				w.fail(invariant, "leader %d is not in sync: %v", p.Leader, p.ISR)
			}
		}
	}
}

// registration is what the metadata knows of a broker now.
func (w *world) registration(id cluster.BrokerID) cluster.Broker {
	b, ok := w.newest().Broker(id)
	if !ok {
		return cluster.Broker{ID: id}
	}
	return *b
}

func (w *world) register(b *broker) {
	if w.cut[b.id][0] {
		return
	}
	cmd := cluster.RegisterBroker{
		Broker:         cluster.Broker{ID: b.id, Incarnation: b.uuid(), Directory: b.uuidOfDirectory()},
		FailedReplicas: b.failed,
	}
	if w.is(ruleWiped) {
		cmd.Broker.Directory[1], cmd.FailedReplicas = 1, nil
	}
	if err := w.office.MayRegister(w.now, cmd.Broker, w.newest()); err != nil {
		return // the controller takes the id for somebody else's
	}
	if w.tracing {
		w.logf("b%d registers incarnation %d", b.id, b.incarnation)
	}
	was := w.registration(b.id).Epoch
	if res := w.apply(cmd); res.BrokerEpoch != was {
		w.office.Registered(w.now, b.id)
	}
	b.failed = nil
}

// fence is the failure detector, which may be wrong at any time.
func (w *world) fence(id cluster.BrokerID) {
	b := w.registration(id)
	if b.Fenced {
		return
	}
	if w.tracing {
		w.logf("b%d is fenced", id)
	}
	w.apply(cluster.FenceBroker{ID: id, Epoch: b.Epoch})
}

// repair brings a broker one step nearer to being of use.
func (w *world) repair(b *broker) {
	reg := w.registration(b.id)
	switch {
	case !b.up:
		b.start()
	case reg.Incarnation != b.uuid():
		w.register(b)
	case reg.Draining:
		b.crash()
	default:
		b.renew()
	}
}

// shortest is the in-sync member of some partition that has the shortest log: if
// that is too short for a leader, it is the one to elect.
func (w *world) shortest(otherwise *broker) *broker {
	tp := w.clients[w.r.IntN(len(w.clients))].tp
	_, p, ok := w.newest().Partition(tp)
	if !ok {
		return otherwise
	}
	best, least := otherwise, int64(-1)
	for _, id := range p.ISR {
		if r := w.peer(id).replica(tp); r != nil && id != p.Leader && (least < 0 || r.end() < least) {
			best, least = r.b, r.end()
		}
	}
	return best
}

// elect moves leaderships to an in-sync member.
func (w *world) elect(id cluster.BrokerID) {
	var cmd cluster.ElectLeaders
	for _, t := range w.newest().Topics() {
		for i, p := range t.Partitions {
			cmd.Changes = append(cmd.Changes, cluster.LeaderChange{
				TP: t.TopicPartition(i), PartitionEpoch: p.PartitionEpoch, Leader: id, Drop: w.r.IntN(2) == 0,
			})
		}
	}
	w.apply(cmd)
}

// tick asks the in-sync policy for a proposal and sends it to the controller.
func (r *replica) tick() {
	if r.lead == nil {
		return
	}
	w := r.w()
	r.keepLease()
	r.forgetPending()
	p, due := r.lead.state.Tick(w.now)
	r.advance()
	if !due {
		return
	}
	self, _ := r.b.image().Broker(r.b.id)
	if w.tracing {
		w.logf("b%d proposes for %d/%d: %s", r.b.id, r.tp.TopicID[1], r.tp.Partition, p.Reason)
	}
	w.send(&message{kind: msgProposal, from: r.b.id, to: cluster.NoBroker, tp: r.tp, brokerEpoch: self.Epoch, proposal: &p})
	r.lead.pending.sent(p, w.now)
	if w.is(rulePending) && len(p.Add) > 0 {
		r.lead.state.Resolve(p, isr.OutcomeRejected, w.now) // as if a timeout were an answer
		r.advance()
	}
	if w.is(ruleShrink) && len(p.Remove) > 0 {
		r.lead.leaving = p.Remove
		r.ignoreLeaving()
		r.advance()
	}
}

// judge is the controller, whose answer takes the same way back.
func (w *world) judge(m *message) {
	p := m.proposal
	change := cluster.ISRChange{TP: m.tp, LeaderEpoch: p.Epoch, PartitionEpoch: p.PartitionEpoch, ISR: append([]cluster.ISRMember(nil), p.ISR...), Reason: p.Reason}
	if _, now, ok := w.newest().Partition(m.tp); ok && w.is(ruleCAS) {
		change.PartitionEpoch = now.PartitionEpoch
	}
	if w.is(ruleBrokerEpoch) {
		for i := range change.ISR {
			change.ISR[i].Epoch = w.registration(change.ISR[i].ID).Epoch
		}
	}
	res := w.apply(cluster.AlterISR{Broker: m.from, BrokerEpoch: m.brokerEpoch, Changes: []cluster.ISRChange{change}})
	outcome := isr.OutcomeStale
	switch {
	case res.Err != nil:
		outcome = isr.OutcomeUnknown
	case res.Errs[0] == nil:
		outcome = isr.OutcomeAccepted
	case errors.Is(res.Errs[0], cluster.ErrIneligibleReplica):
		outcome = isr.OutcomeRejected
	}
	w.send(&message{kind: msgOutcome, from: cluster.NoBroker, to: m.from, tp: m.tp, proposal: p, outcome: outcome})
}

func (r *replica) resolve(m *message) {
	if r.lead != nil && r.lead.epoch == m.proposal.Epoch {
		r.lead.state.Resolve(*m.proposal, m.outcome, r.w().now)
		r.advance()
	}
}
