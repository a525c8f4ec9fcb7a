//go:build peers

package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

var (
	pairs   = flag.Int("pairs", 10, "turns of each arm")
	seconds = flag.Int("seconds", 10, "length of a turn")
	warm    = flag.Int("warm", 60, "seconds of load before the first turn: a JVM needs a minute")
	table   = flag.String("table", "", "file for the table, as markdown")
)

func TestMain(m *testing.M) {
	status := harness.Main(m)
	if err := markdown(*table); err != nil {
		status = 1
	}
	os.Exit(status)
}

// arm is a cluster with a topic configuration.
type arm struct {
	peer
	label  string
	config string // of the topic; empty for the defaults
}

// contest is two clusters that take turns, and the arms on them.
type contest struct {
	chronikFsync, chronikAsync, kafkaShipped, kafkaFsync arm
}

func (c contest) arms() []arm {
	return []arm{c.chronikFsync, c.kafkaShipped, c.chronikAsync, c.kafkaFsync}
}

func newContest(t *testing.T) contest {
	t.Helper()
	c, k := startChronik(t), prepareKafka(t).start(t)
	return contest{
		chronikFsync: arm{c, "fsync", "chronik.flush=fsync"},
		chronikAsync: arm{c, "async", "chronik.flush=async"},
		kafkaShipped: arm{k, "Kafka as shipped", ""},
		kafkaFsync:   arm{k, "Kafka flush.messages=1", "flush.messages=1"},
	}
}

// bench runs a bench command of the toolkit against an arm and decodes its data.
// A status that is about the quality of the run is not an error here.
func (a arm) bench(t *testing.T, into any, args ...string) {
	t.Helper()
	args = append([]string{"-B", strings.Join(a.bootstrap(), ","), "-o", "json", "--timeout", "10m", "bench"}, args...)
	if a.config != "" {
		args = append(args, "-c", a.config)
	}
	cmd := exec.CommandContext(t.Context(), harness.Binary(), append(args, "-c", "min.insync.replicas=2")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || len(stdout) == 0) {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	envelope := struct {
		Data any `json:"data"`
	}{into}
	if err := json.Unmarshal(stdout, &envelope); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(cmd.Args, " "), err, stdout, stderr.String())
	}
}

// load is one shape of the load.
type load struct {
	rate, size, partitions int
}

func (l load) String() string {
	return fmt.Sprintf("%d/s of %d bytes, %d partitions", l.rate, l.size, l.partitions)
}

// turn is the latency of acks=all over one turn, in milliseconds, and the share
// of what was offered that was not acked.
type turn struct{ p50, p99, failed float64 }

func (a arm) latency(t *testing.T, l load, seconds int) turn {
	t.Helper()
	var data struct {
		Arms []struct {
			Response map[string]float64 `json:"response_us"`
			Sent     float64            `json:"sent"`
			Acked    float64            `json:"acked"`
		} `json:"arms"`
	}
	a.bench(t, &data, "acks-all", "--acks", "all", "--rate", strconv.Itoa(l.rate), "--record-size", strconv.Itoa(l.size),
		"--partitions", strconv.Itoa(l.partitions), "--duration", fmt.Sprintf("%ds", seconds), "--warmup", "3s", "--verify", "off")
	if len(data.Arms) != 1 || data.Arms[0].Sent == 0 {
		t.Fatalf("%s: no load", a.label)
	}
	r := data.Arms[0]
	return turn{r.Response["p50"] / 1000, r.Response["p99"] / 1000, 1 - r.Acked/r.Sent}
}

// TestLatency is acks=all in an open loop, arm after arm.
func TestLatency(t *testing.T) {
	c := newContest(t)
	for _, a := range c.arms() {
		a.latency(t, load{1000, 1024, 6}, *warm)
	}
	for _, l := range []load{{1000, 1024, 6}, {5000, 1024, 6}, {2000, 100, 6}, {500, 10240, 6}, {1000, 1024, 600}} {
		got := map[string][]turn{}
		for range *pairs {
			for _, a := range c.arms() {
				got[a.label] = append(got[a.label], a.latency(t, l, *seconds))
			}
		}
		for _, versus := range []struct {
			ours, theirs arm
			p50, p99     float64
		}{
			{c.chronikFsync, c.kafkaShipped, 0.5, 0.33},
			{c.chronikAsync, c.kafkaShipped, 0.5, 0.33},
			{c.chronikFsync, c.kafkaFsync, 0.3, 0.2},
		} {
			ours, theirs := got[versus.ours.label], got[versus.theirs.label]
			r := row{Unit: "ms", Ours: versus.ours.label, Their: versus.theirs.label, Notes: failures(ours, theirs)}
			r.Name, r.A, r.B = "acks=all p50, "+l.String(), pick(ours, turn.median), pick(theirs, turn.median)
			compare(t, r, atMost(versus.p50))
			r.Name, r.A, r.B = "acks=all p99, "+l.String(), pick(ours, turn.tail), pick(theirs, turn.tail)
			compare(t, r, atMost(versus.p99))
		}
	}
}

func (t turn) median() float64 { return t.p50 }
func (t turn) tail() float64   { return t.p99 }

func pick(turns []turn, of func(turn) float64) []float64 {
	all := make([]float64, len(turns))
	for i, t := range turns {
		all[i] = of(t)
	}
	return all
}

// failures says who did not ack everything: latency of the rest flatters them.
func failures(ours, theirs []turn) string {
	share := func(turns []turn) float64 {
		sum := 0.0
		for _, t := range turns {
			sum += t.failed
		}
		return 100 * sum / float64(len(turns))
	}
	if a, b := share(ours), share(theirs); a+b > 0 {
		return fmt.Sprintf("not acked: chronik %.2f%%, the other %.2f%%", a, b)
	}
	return ""
}

// TestThroughput is the highest rate of franz-go's defaults, with acks=all.
func TestThroughput(t *testing.T) {
	c := newContest(t)
	rate := func(a arm, records, size int) float64 {
		var data struct {
			RecordsPerSecond float64 `json:"records_per_second"`
		}
		a.bench(t, &data, "produce", "-n", strconv.Itoa(records), "--record-size", strconv.Itoa(size), "--verify", "off")
		return data.RecordsPerSecond
	}
	for _, size := range []int{1024, 100, 10240} {
		records := 300_000 * 1024 / max(size, 512)
		for _, a := range c.arms()[:3] {
			rate(a, records, size)
		}
		got := map[string][]float64{}
		for range *pairs {
			for _, a := range c.arms() {
				n := records
				if a.label == c.kafkaFsync.label {
					n = max(records/30, 1000) // it is that much slower
				}
				got[a.label] = append(got[a.label], rate(a, n, size))
			}
		}
		r := row{Name: fmt.Sprintf("throughput, %d bytes", size), Unit: "records/s"}
		r.Ours, r.A = c.chronikFsync.label, got[c.chronikFsync.label]
		r.Their, r.B = c.kafkaShipped.label, got[c.kafkaShipped.label]
		compare(t, r, atLeast(1.5))
		r.Their, r.B = c.kafkaFsync.label, got[c.kafkaFsync.label]
		compare(t, r, atLeast(10))
		r.Ours, r.A = c.chronikAsync.label, got[c.chronikAsync.label]
		r.Their, r.B = c.kafkaShipped.label, got[c.kafkaShipped.label]
		compare(t, r, atLeast(1.5))
	}
	compare(t, row{Name: "resident memory after that", Unit: "MiB", Ours: "chronik", A: rssMiB(t, c.chronikFsync), Their: "Kafka", B: rssMiB(t, c.kafkaShipped)}, atMost(0.15))
	compare(t, row{
		Name: "CPU of all brokers since their start", Unit: "s", Ours: "chronik, both arms", A: []float64{cpuSeconds(t, c.chronikFsync)},
		Their: "Kafka, both arms", B: []float64{cpuSeconds(t, c.kafkaShipped)},
	}, atMost(1))
}

// TestStartup is the time from the start of three empty brokers to the first
// record that all of them have.
func TestStartup(t *testing.T) {
	first := func(prepare func(t *testing.T) func() peer) float64 {
		var took time.Duration
		t.Run("start", func(t *testing.T) {
			start := prepare(t)
			began := time.Now()
			p := start()
			produceOne(t, newClient(t, p), createTopic(t, p, 1))
			took = time.Since(began)
		})
		return took.Seconds()
	}
	var ours, theirs []float64
	for range max(*pairs/2, 1) {
		ours = append(ours, first(func(t *testing.T) func() peer { return func() peer { return startChronik(t) } }))
		theirs = append(theirs, first(func(t *testing.T) func() peer {
			k := prepareKafka(t) // formatting its disks is not part of a start
			return func() peer { return k.start(t) }
		}))
	}
	compare(t, row{Name: "start to first ack, three empty brokers", Unit: "s", Ours: "chronik", A: ours, Their: "Kafka", B: theirs}, atMost(0.1))
}

// TestFailover is the longest time without an ack on the partitions of a leader
// that is killed.
func TestFailover(t *testing.T) {
	c := newContest(t)
	gaps := func(p peer) (all []float64) {
		topic := createTopic(t, p, 3)
		for range *pairs {
			all = append(all, killALeader(t, p, topic).Seconds())
		}
		return all
	}
	compare(t, row{Name: "time without acks after SIGKILL of a leader", Unit: "s", Ours: "chronik fsync", A: gaps(c.chronikFsync), Their: "Kafka as shipped", B: gaps(c.kafkaShipped)}, atMost(0.2))
}

// TestCatchUp is how fast a consumer reads what is there.
func TestCatchUp(t *testing.T) {
	c := newContest(t)
	const records = 500_000
	rates := map[string][]float64{}
	var topics []string
	both := []peer{c.chronikFsync.peer, c.kafkaShipped.peer}
	for _, p := range both {
		topic := createTopic(t, p, 6)
		fill(t, p, topic, records)
		topics = append(topics, topic)
	}
	for range *pairs {
		for i, p := range both {
			rates[p.name()] = append(rates[p.name()], consumeAll(t, p, topics[i], records))
		}
	}
	compare(t, row{Name: "consumer catch-up, 1 KiB", Unit: "records/s", Ours: "chronik", A: rates["chronik"], Their: "Kafka", B: rates["Kafka"]}, atLeast(1))
}

// within bounds what waits for a cluster.
func within(t *testing.T) context.Context { return harness.Within(t, 2*time.Minute) }
