//go:build peers

package peers

import (
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
	"github.com/chronik-project/chronik/test/peers/table"
)

// TestPeers compares, step by step. Clusters start with the first step that has
// not been done.
func TestPeers(t *testing.T) {
	openResults(t)
	step(t, "start", start)
	var c *contest
	on := func(name string, body func(t *testing.T, s steps, c *contest)) {
		if c == nil && !results.IsDone(name) {
			c = newContest(t)
			warmUp(t, c)
		}
		step(t, name, func(t *testing.T, s steps) { body(t, s, c) })
	}
	on("idle", idle)
	on("syncs", syncs)
	for _, shapes := range shapes() {
		on("latency "+shapes[0].String(), func(t *testing.T, s steps, c *contest) { latency(t, s, c, shapes) })
	}
	for _, size := range sizes() {
		on(fmt.Sprintf("throughput %d B", size), func(t *testing.T, s steps, c *contest) { throughput(t, s, c, size) })
	}
	on("catch-up", catchUp)
	on("failover", failover) // last: it leaves a JVM that has just started
}

// shapes are the loads of the latency steps. Those of a step take turns with each
// other.
func shapes() [][]load {
	if testing.Short() {
		return [][]load{{{rate: 500, size: 1024, partitions: 6}}}
	}
	return [][]load{
		{{rate: 1000, size: 1024, partitions: 6}, {rate: 1000, size: 1024, partitions: 600}},
		{{rate: 5000, size: 1024, partitions: 6}},
		{{rate: 2000, size: 100, partitions: 6}},
		{{rate: 500, size: 10240, partitions: 6}},
	}
}

func sizes() []int {
	if testing.Short() {
		return []int{1024}
	}
	return []int{1024, 100, 10240}
}

func warmUp(t *testing.T, c *contest) {
	t.Helper()
	for _, a := range c.arms() {
		c.measure(t, a, load{rate: 500, size: 1024, partitions: 6}, *warm)
	}
}

// latency is acks=all in an open loop.
func latency(t *testing.T, s steps, c *contest, shapes []load) {
	got := make([]map[string]turns, len(shapes))
	for n := range *pairs {
		for i, l := range shapes {
			if got[i] == nil {
				got[i] = map[string]turns{}
			}
			for _, a := range c.arms() {
				if _, isNATS := a.peer.(*nats); isNATS && l.partitions > 6 {
					continue // to create so many streams takes minutes of every turn
				}
				got[i][a.label] = append(got[i][a.label], c.measure(t, a, l, *seconds))
			}
		}
		progress("%s: pair %d of %d", s, n+1, *pairs)
	}
	kafka, nats := c.versus()
	targets := [][2]float64{{0.5, 0.33}, {0.5, 0.33}, {0.3, 0.2}}
	for i, l := range shapes {
		for n, v := range kafka {
			latencyRows(t, s, v, l, got[i], targets[n][0], targets[n][1])
		}
		for _, v := range nats {
			if l.partitions <= 6 {
				latencyRows(t, s, v, l, got[i], 0, 0)
			}
		}
	}
	if len(shapes) > 1 { // what partitions cost chronik itself
		for _, a := range []arm{c.fsync, c.async} {
			few, many := got[0][a.label], got[1][a.label]
			r := table.Row{Name: "p99 of many partitions against few", Unit: "ms", Settings: shapes[1].String(), Ours: a.label, Theirs: a.label + ", " + shapes[0].String(), Target: 1.2}
			r.A, r.DroppedA = many.pick(turn.tail)
			r.B, r.DroppedB = few.pick(turn.tail)
			s.add(t, r)
		}
	}
}

func latencyRows(t *testing.T, s steps, v versus, l load, all map[string]turns, p50, p99 float64) {
	t.Helper()
	r := v.row(l, "acks=all p50", "ms", all, turn.median)
	r.Target = p50
	s.add(t, r)
	r = v.row(l, "acks=all p99", "ms", all, turn.tail)
	r.Target = p99
	s.add(t, r)
	s.add(t, v.row(l, "CPU of the servers per million records", "s", all, turn.cpuPerMillion))
	s.add(t, v.row(l, "bytes written by all servers per byte produced", "", all, l.amplification()))
}

// throughput is the highest rate of a client with its defaults.
func throughput(t *testing.T, s steps, c *contest, size int) {
	l := load{size: size, partitions: 6, records: 300_000 * 1024 / max(size, 512)}
	if testing.Short() {
		l.records = 20_000
	}
	all := map[string]turns{}
	for n := range *pairs + 1 { // the first is warm-up
		for _, a := range c.arms() {
			shape := l
			if a.label == c.kafkaFsync.label || a.label == c.natsAlways.label {
				shape.records = max(l.records/30, 1000) // they are that much slower
			}
			if r := c.measure(t, a, shape, 0); n > 0 {
				all[a.label] = append(all[a.label], r)
			}
		}
		progress("%s: turn %d of %d", s, n+1, *pairs+1)
	}
	kafka, nats := c.versus()
	targets := []float64{1.5, 1.5, 10, 0, 0, 0}
	for i, v := range append(kafka, nats...) {
		r := v.row(l, "throughput, acks=all", "records/s", all, turn.rate)
		r.Target, r.MoreIsBetter = targets[i], true
		s.add(t, r)
		s.add(t, v.row(l, "CPU of the servers per million records, at full rate", "s", all, turn.cpuPerMillion))
	}
	memory(t, s, c, "resident memory after throughput of "+l.String())
}

// memory compares what each server holds.
func memory(t *testing.T, s steps, c *contest, name string) {
	t.Helper()
	for _, other := range []arm{c.kafkaShipped, c.natsShipped} {
		r := table.Row{Name: name, Unit: "MiB", Ours: "chronik", A: rssMiB(t, c.chronik), Theirs: other.name(), B: rssMiB(t, other)}
		if other.peer == peer(c.kafka) {
			r.Target = 0.15
		}
		s.add(t, r)
	}
}

// start is the time from the start of three empty servers to the first record
// that is acked, the creation of its topic included.
func start(t *testing.T, s steps) {
	prepares := []func(t *testing.T) func() peer{
		func(t *testing.T) func() peer { return func() peer { return startChronik(t) } },
		func(t *testing.T) func() peer {
			k := prepareKafka(t) // formatting its disks is not part of a start
			return func() peer { return k.start(t) }
		},
		func(t *testing.T) func() peer {
			n := prepareNATS(t)
			return func() peer { return n.start(t) }
		},
	}
	took, rss := make([][]float64, len(prepares)), make([][]float64, len(prepares))
	for range max(*pairs/2, 1) {
		for i, prepare := range prepares {
			t.Run("once", func(t *testing.T) {
				launch := prepare(t)
				began := time.Now()
				p := launch()
				p.firstAck(t)
				took[i] = append(took[i], time.Since(began).Seconds())
				rss[i] = append(rss[i], rssMiB(t, p)...)
				progress("  %s: first ack after %.2f s", p.name(), time.Since(began).Seconds())
			})
		}
	}
	for i, theirs := range []string{"Kafka", "NATS"} {
		r := table.Row{Name: "start to first ack, three empty servers", Unit: "s", Ours: "chronik", A: took[0], Theirs: theirs, B: took[i+1]}
		m := table.Row{Name: "resident memory after that", Unit: "MiB", Ours: "chronik", A: rss[0], Theirs: theirs, B: rss[i+1]}
		if theirs == "Kafka" {
			r.Target, m.Target = 0.1, 0.15
		}
		s.add(t, r)
		s.add(t, m)
	}
}

// idle is what the clusters take when nobody asks them for anything: the price of
// letting all of them run at once.
func idle(t *testing.T, s steps, c *contest) {
	length := time.Duration(*seconds) * time.Second
	used := make([][]float64, len(c.clusters()))
	for range *pairs {
		before := make([]float64, len(used))
		clock := newStopwatch()
		for i, p := range c.clusters() {
			before[i] = cpuSeconds(t, p)
		}
		harness.Pause(t, length)
		for i, p := range c.clusters() {
			used[i] = append(used[i], 100*(cpuSeconds(t, p)-before[i])/clock.cores())
		}
	}
	for i, theirs := range []string{"Kafka", "NATS as shipped", "NATS sync always"} {
		s.add(t, table.Row{Name: "CPU while idle, three servers", Unit: "% of the machine", Ours: "chronik", A: used[0], Theirs: theirs, B: used[i+1]})
	}
}

// catchUp is how fast a consumer reads what is there.
func catchUp(t *testing.T, s steps, c *contest) {
	records := 500_000
	if testing.Short() {
		records = 50_000
	}
	rates := make([][]float64, 2)
	topics := make([]string, 2)
	both := []broker{c.chronik, c.kafka}
	for i, p := range both {
		topics[i] = createTopic(t, p, 6)
		fill(t, p, topics[i], records)
	}
	for range *pairs {
		for i, p := range both {
			rates[i] = append(rates[i], consumeAll(t, p, topics[i], records))
		}
	}
	s.add(t, table.Row{
		Name: "consumer catch-up", Unit: "records/s", Settings: fmt.Sprintf("%d records of 1024 B, 6 partitions, the client's fetch defaults", records),
		Ours: "chronik", A: rates[0], Theirs: "Kafka", B: rates[1], Target: 1, MoreIsBetter: true,
	})
}

// failover is the longest time without an ack when a leader is killed.
func failover(t *testing.T, s steps, c *contest) {
	gaps := make([][]float64, 3)
	for range *pairs {
		for i, p := range []peer{c.chronik, c.kafka, c.nats} {
			gap := p.killALeader(t)
			gaps[i] = append(gaps[i], gap.Seconds())
			progress("  %s: %s without an ack", p.name(), gap.Round(time.Millisecond))
		}
	}
	for i, theirs := range []arm{c.kafkaShipped, c.natsShipped} {
		r := table.Row{Name: "time without acks after SIGKILL of a leader", Unit: "s", Ours: c.fsync.label, A: gaps[0], Theirs: theirs.label, B: gaps[i+1]}
		if i == 0 {
			r.Target = 0.2
		}
		s.add(t, r)
	}
}
