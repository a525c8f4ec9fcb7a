package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

const (
	brokerCount = 3 // and every partition has a replica on each of them
	minISR      = "2"
	topicName   = "t"
	stepCount   = 2000
	// maxMessages bounds what is under way: the oldest message is lost.
	maxMessages = 60
	// maxLate bounds the copies that may come very late.
	maxLate = 20
)

// world is a cluster, its clients and everything that may happen to it.
type world struct {
	r      *rand.Rand
	broken rule // the one rule that does not hold; none in a sound cluster
	// now is virtual, and begins at began. Between two steps as much of it passes
	// as the pace of the schedule says, in the mean.
	began, now time.Time
	pace       time.Duration
	odds       odds
	policy     isr.Options

	images  []*cluster.Image // the newest last; every broker knows a prefix
	brokers [brokerCount]*broker
	office  office
	net     []*message
	late    []*message // copies that come when they are long forgotten
	// cut says from whom nothing reaches whom; 0 is the controller.
	cut     [brokerCount + 1][brokerCount + 1]bool
	clients []*client // of the newest topic, one for each partition
	oracles map[cluster.TopicPartition]*oracle

	partitions int
	topics     byte   // topics created so far
	sessions   uint64 // the newest session id
	values     int64  // the newest value: no two batches have the same
	producers  int64
	damaged    bool // the one disk that may lose what it synced has done so
	calm       bool // everything works: the schedule is over
	// starved is a broker that lost its disk at the worst time: data comes to it
	// much later than all else.
	starved cluster.BrokerID

	failure error
	tracing bool
	trace   []string
	tally   tally
}

// tally is what happened in a schedule.
type tally struct {
	acked, elections, crashes, cuts, damages int
	ackedBefore                              int           // the end of all faults
	recovery                                 time.Duration // from then on
}

// newWorld starts three brokers and one topic. The seed decides all the rest.
func newWorld(seed uint64, broken rule, tracing bool) *world {
	w := &world{
		r: rand.New(rand.NewPCG(seed, 0)), broken: broken, tracing: tracing,
		now: time.Unix(1_700_000_000, 0), images: []*cluster.Image{cluster.NewImage()},
		oracles: map[cluster.TopicPartition]*oracle{},
	}
	w.began = w.now
	w.odds = drawOdds(w.r)
	w.pace = paces[w.r.IntN(len(paces))]
	w.policy = drawPolicy(w.r)
	w.newTerm()
	w.damaged = w.r.IntN(2) == 0 && w.odds.damage > 0
	w.partitions = 1 + w.r.IntN(8)/6*(1+w.r.IntN(2)) // mostly one: what happens, happens to it
	for i := range w.brokers {
		w.brokers[i] = &broker{w: w, id: cluster.BrokerID(i + 1), directory: 1}
		w.brokers[i].start()
		w.register(w.brokers[i])
		w.apply(cluster.UnfenceBroker{ID: w.brokers[i].id, Epoch: w.registration(w.brokers[i].id).Epoch})
	}
	w.createTopic()
	for _, b := range w.brokers {
		b.learn(len(w.images) - 1)
	}
	return w
}

// createTopic creates the next topic, with a client for each partition.
func (w *world) createTopic() {
	w.topics++
	id := cluster.UUID{9, w.topics}
	var assignment [][]cluster.BrokerID
	w.clients = w.clients[:0]
	for p := range w.partitions {
		var replicas []cluster.BrokerID
		for i := range brokerCount {
			replicas = append(replicas, cluster.BrokerID((p+i)%brokerCount+1))
		}
		assignment = append(assignment, replicas)
		w.producers++
		tp := cluster.TopicPartition{TopicID: id, Partition: int32(p)}
		w.clients = append(w.clients, &client{w: w, tp: tp, producerID: w.producers})
		w.oracles[tp] = newOracle(w, tp)
	}
	if w.tracing {
		w.logf("topic %d is created", w.topics)
	}
	w.apply(cluster.CreateTopic{
		ID: id, Name: topicName, Assignment: assignment, Configs: map[string]string{"min.insync.replicas": minISR},
	})
}

// recreateTopic deletes the topic and, unless nobody is alive to hold the new
// one, creates another of the same name.
func (w *world) recreateTopic() {
	alive := false
	for _, b := range w.newest().Brokers() {
		alive = alive || b.Eligible()
	}
	if alive && w.topics < 4 {
		w.apply(cluster.DeleteTopic{Name: topicName})
		w.createTopic()
	}
}

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// finding is what kind of thing was found that must not happen.
type finding string

const (
	loss      finding = "LOSS"      // of what was acknowledged or committed
	duplicate finding = "DUPLICATE" // of what an idempotent producer sent once
	split     finding = "SPLIT"     // two leaders of one epoch
	shown     finding = "SHOWN"     // to consumers, and should not have been
	stuck     finding = "STUCK"     // though everything works again
	invariant finding = "INVARIANT" // any other
)

// fail keeps the first thing that must not happen. Of a world with a broken rule
// a certain kind of thing is asked.
func (w *world) fail(kind finding, format string, args ...any) {
	if w.failure != nil || w.broken != none && kind != mutations[w.broken-1].finds {
		return
	}
	w.failure = fmt.Errorf("%s: "+format, append([]any{kind}, args...)...)
	if w.tracing {
		w.logf("FAILURE: %v", w.failure)
	}
}

// run lives through one schedule, and its happy end.
func (w *world) run(steps int) {
	for range steps {
		w.step()
		if w.failure != nil {
			return
		}
	}
	w.heal()
}

// step does one thing that could happen next.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.r.Int64N(int64(2 * w.pace))))
	if w.now.After(w.office.next) {
		w.heartbeats()
	}
	b := w.brokers[w.r.IntN(brokerCount)]
	switch w.odds.draw(w.r) {
	case opProduce:
		w.clients[w.r.IntN(len(w.clients))].act()
	case opSync:
		b.syncStep()
	case opConnect:
		b = w.leader()
		b.connect(w.someone(b))
	case opPush:
		b = w.leader()
		b.push(w.someone(b))
	case opDeliver:
		w.deliver()
	case opLearn:
		if last := len(w.images) - 1; b.up && b.view < last && !w.cut[0][b.id] && w.r.IntN(1000) >= w.odds.lag[b.id-1] {
			next := b.view + 1
			if w.r.IntN(1000) < w.odds.jump {
				next += w.r.IntN(last - b.view)
			}
			b.learn(next)
		}
	case opTick:
		w.leader().tick()
	case opRepair:
		w.repair(b)
	case opFetch:
		b.fetch()
	case opDecide:
		w.decide()
	case opMend:
		w.cut = [brokerCount + 1][brokerCount + 1]bool{}
	case opCut:
		w.isolate(b)
	case opTerm:
		w.newTerm()
	case opRetire:
		b.retire()
	case opLose:
		if len(w.net) > 0 {
			w.take(w.r.IntN(len(w.net)))
		}
	case opClose:
		b.closeLink(w.someone(b))
	case opFence:
		w.fence(b.id)
	case opCrash:
		victim := w.victim()
		if victim != nil && w.r.IntN(2) == 0 {
			b = victim
		}
		if b.up {
			b.crash()
			if b == victim && !w.damaged {
				b.damage()
				w.starved = b.id
			}
		}
	case opDrain:
		w.apply(cluster.DrainBroker{ID: b.id, Epoch: w.registration(b.id).Epoch})
	case opElect:
		if w.r.IntN(2) == 0 {
			b = w.shortest(b)
		}
		w.elect(b.id)
	case opRecreate:
		w.recreateTopic()
	case opCount:
	}
}

// someone picks a broker other than b.
func (w *world) someone(b *broker) *broker {
	return w.brokers[(int(b.id)-1+1+w.r.IntN(brokerCount-1))%brokerCount]
}

// leader picks a broker that leads something, or any one if none does: what
// followers do of their own accord is little.
func (w *world) leader() *broker {
	first := w.r.IntN(brokerCount)
	for i := range brokerCount {
		b := w.brokers[(first+i)%brokerCount]
		if b.up && b.leads() {
			return b
		}
	}
	return w.brokers[first]
}

// peer finds a broker.
func (w *world) peer(id cluster.BrokerID) *broker { return w.brokers[id-1] }
