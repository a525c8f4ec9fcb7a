//go:build peers

package peers

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/peers/table"
)

// contest is the clusters that take turns, and the arms on them. They all run all
// the time: what those that wait take of the machine is measured in every turn.
type contest struct {
	chronik                  broker
	kafka                    broker
	nats, natsSync           *nats
	fsync, async             arm
	kafkaShipped, kafkaFsync arm
	natsShipped, natsAlways  arm
}

var (
	chronikFsync = "chronik.flush=fsync"
	chronikAsync = "chronik.flush=async"
)

// newContest starts all clusters.
func newContest(t *testing.T) *contest {
	t.Helper()
	c := &contest{
		chronik: startChronik(t), kafka: prepareKafka(t).start(t),
		nats: prepareNATS(t).start(t), natsSync: prepareNATS(t, "sync_interval: always").start(t),
	}
	c.fsync = kafkaArm(c.chronik, "chronik fsync", chronikFsync)
	c.async = kafkaArm(c.chronik, "chronik async", chronikAsync)
	c.kafkaShipped = kafkaArm(c.kafka, "Kafka as shipped", kafkaTopic)
	c.kafkaFsync = kafkaArm(c.kafka, "Kafka flush.messages=1", kafkaTopic, "flush.messages=1")
	c.natsShipped = natsArm(c.nats, "NATS as shipped")
	c.natsAlways = natsArm(c.natsSync, "NATS sync always")
	c.nats.firstAck(t) // they run
	c.natsSync.firstAck(t)
	return c
}

func (c *contest) clusters() []peer { return []peer{c.chronik, c.kafka, c.nats, c.natsSync} }

// arms are in an order in which no cluster has two turns in a row.
func (c *contest) arms() []arm {
	return []arm{c.fsync, c.kafkaShipped, c.natsShipped, c.async, c.kafkaFsync, c.natsAlways}
}

// versus is a pair of arms that promise the same, or chronik promising more.
type versus struct {
	ours, theirs arm
}

func (c *contest) versus() (kafka, nats []versus) {
	return []versus{{c.fsync, c.kafkaShipped}, {c.async, c.kafkaShipped}, {c.fsync, c.kafkaFsync}},
		[]versus{{c.fsync, c.natsShipped}, {c.async, c.natsShipped}, {c.fsync, c.natsAlways}}
}

// othersCPU is what the clusters beside an arm's have used.
func (c *contest) othersCPU(t *testing.T, a arm) (sum float64) {
	t.Helper()
	for _, p := range c.clusters() {
		if p != a.peer {
			sum += cpuSeconds(t, p)
		}
	}
	return sum
}

type stopwatch struct{ start time.Time }

func newStopwatch() stopwatch { return stopwatch{time.Now()} }

// cores is the CPU seconds that the machine has had since.
func (s stopwatch) cores() float64 {
	return time.Since(s.start).Seconds() * float64(runtime.NumCPU())
}

// turns are those of one arm.
type turns []turn

// row compares one figure of the valid turns of two arms.
func (v versus) row(l load, name, unit string, all map[string]turns, of func(turn) float64) table.Row {
	ours, theirs := all[v.ours.label], all[v.theirs.label]
	r := table.Row{Name: name, Unit: unit, Settings: l.String(), Ours: v.ours.label, Theirs: v.theirs.label}
	r.A, r.DroppedA = ours.pick(of)
	r.B, r.DroppedB = theirs.pick(of)
	if a, b := ours.failed(), theirs.failed(); a+b > 0 {
		r.Notes = fmt.Sprintf("not acked: %.2f%%, %.2f%%", a, b)
	}
	if other := max(ours.disturbed(), theirs.disturbed()); other > 0 {
		r.Notes = join(r.Notes, fmt.Sprintf("the clusters that waited took up to %.1f%% of the machine", other))
	}
	return r
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// pick returns a figure of every valid turn, and how many were not.
func (all turns) pick(of func(turn) float64) (kept []float64, dropped int) {
	for _, t := range all {
		if t.valid {
			kept = append(kept, of(t))
		} else {
			dropped++
		}
	}
	return kept, dropped
}

// failed is the share of records that were not acked, in percent: the latency of
// the rest flatters who has many.
func (all turns) failed() (share float64) {
	for _, t := range all {
		share += 100 * t.failed / float64(len(all))
	}
	return share
}

// disturbed is the most that other clusters took, in percent of the machine.
func (all turns) disturbed() (most float64) {
	for _, t := range all {
		most = max(most, 100*t.others)
	}
	return most
}

func (t turn) median() float64 { return t.p50 }
func (t turn) tail() float64   { return t.p99 }
func (t turn) rate() float64   { return t.perSecond }

// cpuPerMillion is CPU seconds of all servers for a million records.
func (t turn) cpuPerMillion() float64 { return t.cpu / t.all * 1e6 }

// amplification is the bytes that all servers write for a byte produced.
func (l load) amplification() func(turn) float64 {
	return func(t turn) float64 { return t.written / (t.all * float64(l.size)) }
}
