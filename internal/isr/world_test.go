package isr_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

const (
	worldBrokers = 4
	worldMinISR  = 2
	worldLeader  = cluster.BrokerID(1)
)

// world is a leader, its followers, the controller and what is between them.
type world struct {
	r         *rand.Rand
	faults    float64 // how much of the harm that could be done is done
	now       time.Time
	state     *isr.State
	end       int64
	durable   int64 // the leader's own
	followers map[cluster.BrokerID]*follower
	images    []*cluster.Image // the newest last
	seen      int              // index of the one that the leader has applied
	tp        cluster.TopicPartition
	acks      []ack
	copies    []sentProposal
	session   uint64 // the last one opened
	trace     []string

	// What the checks remember.
	watermark int64
	last      isr.Proposal // handed out last
	flying    bool         // last may be committed yet
	alive     int          // copies of last that are not known to be dead
	failure   error        // found while a step was made
}

// follower is a broker as it really is, and what the leader was told of it.
type follower struct {
	id           cluster.BrokerID
	up           bool
	disk, memory int64 // ends
	session      uint64
	epoch        cluster.BrokerEpoch // of its registration; 0 until then
	incarnation  byte
	directory    byte
	told         uint64 // the session that the leader knows, 0 if none
	toldEnd      int64
	toldEpoch    cluster.BrokerEpoch
	lost         bool // its disk was wiped and it has not registered since
}

type ack struct {
	from    cluster.BrokerID
	session uint64
	durable int64
	written int64
}

type sentProposal struct {
	p        isr.Proposal
	resolved bool // the sender has been told something
}

func newWorld(r *rand.Rand) *world {
	w := &world{r: r, now: time.Unix(1_700_000_000, 0), followers: map[cluster.BrokerID]*follower{}}
	w.faults = []float64{0.02, 0.1, 0.3, 1}[r.IntN(4)]
	w.images = []*cluster.Image{cluster.NewImage()}
	var replicas []cluster.BrokerID
	for id := worldLeader; id <= worldBrokers; id++ {
		replicas = append(replicas, id)
		f := &follower{id: id, up: true, incarnation: 1, directory: 1}
		w.followers[id] = f
		w.register(f)
		w.apply(cluster.UnfenceBroker{ID: id, Epoch: f.epoch})
	}
	w.tp = cluster.TopicPartition{TopicID: cluster.UUID{9}}
	w.apply(cluster.CreateTopic{
		ID: w.tp.TopicID, Name: "t", Assignment: [][]cluster.BrokerID{replicas},
		Configs: map[string]string{"min.insync.replicas": fmt.Sprint(worldMinISR)},
	})
	w.end, w.durable = 100, 90
	for _, f := range w.followers {
		f.disk, f.memory = 80+r.Int64N(21), 100
		if r.IntN(2) == 0 {
			f.disk, f.memory = 60, 60
		}
	}
	w.watermark = 60
	p := w.partition()
	w.state = isr.New(isr.Options{RejoinWaitMax: time.Second}, isr.Term{
		Self: worldLeader, Epoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR,
		MinISR: worldMinISR, EndOffset: w.end, DurableEnd: w.durable, HighWatermark: w.watermark - int64(r.IntN(30)),
	}, w.now)
	w.watermark = w.state.HighWatermark()
	w.seen = len(w.images) - 1
	w.applyEligible(w.images[w.seen])
	return w
}

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) tail() string {
	const lines = 60
	s := ""
	for _, line := range w.trace[max(0, len(w.trace)-lines):] {
		s += line + "\n"
	}
	return s
}

// someone picks a follower.
func (w *world) someone() *follower {
	return w.followers[worldLeader+1+cluster.BrokerID(w.r.IntN(worldBrokers-1))]
}

func (w *world) append() {
	if w.state.UnderMinISR() {
		return
	}
	w.end += 1 + w.r.Int64N(10)
	w.logf("append %d", w.end)
	w.state.Appended(w.end, w.now)
}

func (w *world) push(f *follower) {
	if f.up && f.session != 0 && f.session == f.told {
		f.memory = min(w.end, f.memory+w.r.Int64N(40))
	}
}

func (w *world) fsync(f *follower) {
	if !f.up {
		return
	}
	f.disk = f.memory
	if f.session != 0 {
		w.acks = append(w.acks, ack{f.id, f.session, f.disk, f.memory})
	}
}

// deliverAck hands over the oldest ack of some session, which may be over.
func (w *world) deliverAck() {
	if len(w.acks) == 0 {
		return
	}
	picked := w.acks[w.r.IntN(len(w.acks))]
	i := slices.IndexFunc(w.acks, func(a ack) bool { return a.session == picked.session })
	a := w.acks[i]
	w.acks = slices.Delete(w.acks, i, i+1)
	w.acked(a)
}

func (w *world) acked(a ack) {
	f := w.followers[a.from]
	_, err := w.state.Acked(a.from, a.session, a.durable, a.written, w.now)
	w.logf("ack %d session %d durable %d: %v", a.from, a.session, a.durable, err)
	if current := a.session == f.told; current != (err == nil) {
		w.fail("ack of session %d, the leader was told of %d: error %v", a.session, f.told, err)
	}
	if err == nil {
		f.toldEnd = a.durable
	}
}

// connect gives the follower a session, if it can have one, or moves the one it
// has between the lanes.
func (w *world) connect(f *follower) {
	switch {
	case !f.up || f.epoch == 0:
	case f.session == 0 || f.session != f.told || w.r.IntN(8) == 0:
		w.open(f)
	default:
		live := w.r.IntN(8) != 0
		w.logf("live %d %t", f.id, live)
		w.state.CaughtUpLive(f.id, f.told, live, w.now)
	}
}

func (w *world) open(f *follower) {
	w.session++
	f.session, f.told, f.toldEnd, f.toldEpoch = w.session, w.session, f.disk, f.epoch
	w.logf("open %d session %d durable %d epoch %d", f.id, f.session, f.disk, f.epoch)
	w.state.SessionOpened(f.id, f.session, f.epoch, f.disk, w.now)
}

func (w *world) closeSession(f *follower) {
	if f.told == 0 {
		return
	}
	w.logf("close %d session %d", f.id, f.told)
	w.state.SessionClosed(f.id, f.told, w.now)
	f.told = 0
}
