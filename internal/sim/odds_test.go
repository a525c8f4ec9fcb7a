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
	opLose
	opClose
	opFence
	opCrash
	opDrain
	opElect
	opRecreate
	opCount
)

// usual is how often each kind of step is taken, in some thousandths.
var usual = [opCount]int{
	opProduce: 90, opSync: 150, opConnect: 60, opPush: 130, opDeliver: 280, opLearn: 80, opTick: 70,
	opRepair: 70, opFetch: 12, opLose: 6, opClose: 6, opFence: 8, opCrash: 12, opDrain: 1, opElect: 40, opRecreate: 1,
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
	// late is how many of a thousand messages come very late, or have a copy
	// that does; lateKind are those of which many do.
	late     int
	lateKind kind
	// early is how many of a thousand messages overtake those of their session,
	// twice how many of them come again later.
	early, twice int
	// torn is how many of a thousand crashes keep some of what was not synced.
	torn int
}

func drawOdds(r *rand.Rand) odds {
	var o odds
	faults := []int{2, 6, 15, 50}[r.IntN(4)]
	total := 0
	for op := range opCount {
		n := usual[op] * 100
		switch {
		case op >= opLose:
			n = n * faults / 100 * []int{0, 1, 1, 3}[r.IntN(4)]
		default:
			n = n * []int{1, 4, 4, 12}[r.IntN(4)] / 4
		}
		total += n
		o.sums[op] = total
	}
	for i := range o.slow {
		o.slow[i] = []int{0, 0, 0, 400, 900}[r.IntN(5)]
		o.lag[i] = []int{0, 0, 0, 500, 900}[r.IntN(5)]
	}
	o.jump = []int{0, 100, 500}[r.IntN(3)]
	o.late = []int{0, 20, 200}[r.IntN(3)]
	o.lateKind = []kind{msgOpen, msgAck, msgProposal, msgProduce}[r.IntN(4)] // of msgOpen, none
	o.early = []int{0, 0, 20, 100}[r.IntN(4)]
	o.twice = []int{0, 0, 20, 100}[r.IntN(4)]
	o.torn = []int{0, 300, 1000}[r.IntN(3)]
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

// drawPolicy makes the in-sync policy more or less impatient. A process that
// was not scheduled for a while is not paused here: any gap is an ordinary one.
func drawPolicy(r *rand.Rand) isr.Options {
	scale := []time.Duration{4, 15, 40}[r.IntN(3)]
	return isr.Options{
		DisconnectGrace: time.Second / scale, StallTimeout: 3 * time.Second / scale, LagTimeMax: 10 * time.Second / scale,
		JoinAbandon: 2 * time.Second / scale, RejoinWaitMax: 100 * time.Millisecond,
		ResolveTimeout: 5 * time.Second / scale, PauseGap: time.Hour,
	}
}
