package sim

import (
	"math/rand/v2"
	"time"

	"github.com/chronik-project/chronik/internal/isr"
)

// op is a kind of step.
type op int

const (
	opProduce op = iota
	opSync
	opConnect
	opPush
	opDeliver
	opLearn
	opTick
	opRepair
	opFetch
	opDecide
	opMend
	opLose
	opClose
	opFence
	opCrash
	opDrain
	opElect
	opRecreate
	opCut
	opTerm
	opRetire
	opCount
)

// usual is how often each kind of step is taken, in some thousandths.
var usual = [opCount]int{
	opProduce: 90, opSync: 150, opConnect: 60, opPush: 130, opDeliver: 280, opLearn: 80, opTick: 70,
	opRepair: 70, opFetch: 12, opDecide: 10, opMend: 20,
	opLose: 6, opClose: 6, opFence: 8, opCrash: 12, opDrain: 1, opElect: 40, opRecreate: 1, opCut: 4, opTerm: 2, opRetire: 2,
}

// odds are those of one schedule. Every schedule has its own: what is rare in
// one of them is all that happens in another, and some bugs need just that.
type odds struct {
	sums [opCount]int
	// slow holds how many of a thousand syncs a disk puts off.
	slow [brokerCount]int
	// lag holds how many of a thousand chances to learn of metadata a broker
	// lets pass; jump is how many of a thousand it uses to learn more at once.
	lag  [brokerCount]int
	jump int
	// mute holds how many of a thousand heartbeats are not sent or not heard.
	mute [brokerCount]int
	// late is how many of a thousand messages come very late, or have a copy
	// that does; lateKinds are those of which many do.
	late      int
	lateKinds [2]kind
	// early is how many of a thousand messages overtake those of their session,
	// twice how many of them come again later.
	early, twice int
	// torn is how many of a thousand crashes keep some of what was not synced,
	// damage how many take the one disk with them that may be lost.
	torn, damage int
}

// theme is what a schedule is mostly about. Some losses need a few things to
// happen in a row that are all rare by themselves.
type theme int

const (
	anything theme = iota
	// reopening is about sessions that begin anew, also in other epochs, while
	// acks of the older ones and data of theirs are on their way.
	reopening
	// rejoining is about followers that leave, lose their disk and come back,
	// while the proposals that they should join are on their way.
	rejoining
)

// weight is how often an operation is taken in a theme, in percent of usual.
func (t theme) weight(op op) int {
	switch {
	case t == reopening && op == opElect:
		return 500
	case t == rejoining && op == opPush:
		return 50
	case t == reopening && op == opProduce, t == rejoining && op == opElect:
		return 200
	case t != anything && op == opRecreate:
		return 0
	case t == rejoining && (op == opCrash || op == opFence):
		return 300
	case t == rejoining && op == opTick:
		return 200
	default:
		return 100
	}
}

func drawOdds(r *rand.Rand) odds {
	var o odds
	about := []theme{anything, anything, anything, anything, reopening, rejoining}[r.IntN(6)]
	faults := []int{1, 4, 12, 40}[r.IntN(4)]
	total := 0
	for op := range opCount {
		n := usual[op] * 100
		switch {
		case op >= opLose:
			n = n * faults / 100 * []int{0, 1, 1, 3}[r.IntN(4)]
		default:
			n = n * []int{2, 4, 4, 10}[r.IntN(4)] / 4
		}
		total += n * about.weight(op) / 100
		o.sums[op] = total
	}
	for i := range o.slow {
		o.slow[i] = []int{0, 0, 0, 400, 900}[r.IntN(5)]
		o.mute[i] = []int{0, 0, 0, 300, 800}[r.IntN(5)]
		o.lag[i] = []int{0, 0, 0, 500, 900}[r.IntN(5)]
	}
	o.jump = []int{0, 100, 500}[r.IntN(3)]
	o.late = []int{0, 20, 200}[r.IntN(3)]
	o.lateKinds = [2]kind{ // of msgOpen, none
		[]kind{msgOpen, msgAck, msgProposal, msgProduce}[r.IntN(4)],
		[]kind{msgOpen, msgOpen, msgData, msgAck}[r.IntN(4)],
	}
	o.early = []int{0, 0, 20, 100}[r.IntN(4)]
	o.twice = []int{0, 0, 20, 100}[r.IntN(4)]
	o.torn = []int{0, 300, 1000}[r.IntN(3)]
	o.damage = 250
	switch about {
	case anything:
	case reopening:
		o.lateKinds = [2]kind{msgAck, msgData}
		o.slow, o.lag = [brokerCount]int{}, [brokerCount]int{}
	case rejoining:
		o.lateKinds = [2]kind{msgProposal, msgAck}
		o.damage = 0 // but of those that it is worst for
	}
	return o
}

func (o *odds) draw(r *rand.Rand) op {
	n := r.IntN(o.sums[opCount-1])
	for kind, sum := range o.sums {
		if n < sum {
			return op(kind)
		}
	}
	return opProduce
}

// paces are the mean times between two steps. With the timers of a broker, which
// are its defaults here, a second is long in the first and short in the last.
var paces = []time.Duration{4 * time.Millisecond, 15 * time.Millisecond, 40 * time.Millisecond}

// drawPolicy has the defaults of a broker, but two. A broker that flaps would
// hold up the end of a schedule for a minute: only some have the time for that.
// And a process that was not scheduled for a while is not paused here: any gap
// is an ordinary one.
func drawPolicy(r *rand.Rand) isr.Options {
	o := isr.Options{RejoinWaitMax: 4 * time.Second, PauseGap: 24 * time.Hour}
	if r.IntN(16) == 0 {
		o.RejoinWaitMax = 0
	}
	return o
}
