//go:build figures

// Package figures measures what a cluster costs and how fast it comes back: the
// figures that docs/figures.md reports, as JSON lines on standard output. It
// compares them with nothing; a run that did not do its work fails.
//
//	make figures
package figures

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

var (
	rounds       = flag.Int("rounds", 5, "times that each figure is measured")
	seconds      = flag.Int("seconds", 10, "length of each load")
	recoverySize = flag.Int64("recovery-mib", 2048, "size of the log that is recovered")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// figure is one line of output: all measurements, their median and spread.
type figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	All    []float64 `json:"all"`
}

func report(t *testing.T, name, unit string, all []float64) {
	t.Helper()
	if len(all) == 0 {
		t.Fatalf("%s: nothing measured", name)
	}
	sorted := slices.Sorted(slices.Values(all))
	line, err := json.Marshal(figure{name, unit, sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1], all})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// chronik runs a command of the toolkit and returns the data of its JSON.
func chronik(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), harness.Binary(), append(args, "-o", "json", "--timeout", "5m")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("chronik %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	envelope := struct {
		Data any `json:"data"`
	}{into}
	if err := json.Unmarshal(stdout, &envelope); err != nil {
		t.Fatal(err)
	}
}

func bootstrap(c *devcluster.Cluster) string { return strings.Join(c.Bootstrap(), ",") }

// TestLatency runs acks=all at two rates and in both flush modes, interleaved.
func TestLatency(t *testing.T) {
	c := harness.Start(t, devcluster.Options{Brokers: 3})
	type key struct {
		flush string
		rate  int
	}
	p50, p99, invalid := map[key][]float64{}, map[key][]float64{}, map[key]int{}
	var keys []key
	for _, rate := range []int{1000, 10000} {
		for _, flush := range []string{"fsync", "async"} {
			keys = append(keys, key{flush, rate})
		}
	}
	for range *rounds {
		for _, k := range keys {
			var data struct {
				Arms []struct {
					Response map[string]float64 `json:"response_us"`
				} `json:"arms"`
				Generator struct {
					Valid bool `json:"valid"`
				} `json:"generator"`
			}
			chronik(t, &data, "-B", bootstrap(c), "bench", "acks-all", "--acks", "all", "--rate", strconv.Itoa(k.rate),
				"--duration", fmt.Sprintf("%ds", *seconds), "-c", "chronik.flush="+k.flush)
			p50[k] = append(p50[k], data.Arms[0].Response["p50"]/1000)
			p99[k] = append(p99[k], data.Arms[0].Response["p99"]/1000)
			if !data.Generator.Valid {
				invalid[k]++
			}
		}
	}
	for _, k := range keys {
		name := fmt.Sprintf("acks=all, %d/s, flush=%s", k.rate, k.flush)
		report(t, name+", p50", "ms", p50[k])
		report(t, name+", p99", "ms", p99[k])
		if invalid[k] > 0 {
			fmt.Printf("{\"note\": %q}\n", fmt.Sprintf("%s: the generator was late in %d of %d runs", name, invalid[k], *rounds))
		}
	}
}

// TestThroughput loads as fast as a client goes with franz-go's defaults.
func TestThroughput(t *testing.T) {
	c := harness.Start(t, devcluster.Options{Brokers: 3})
	rate := map[string][]float64{}
	for range *rounds {
		for _, flush := range []string{"fsync", "async"} {
			var data struct {
				RecordsPerSecond float64 `json:"records_per_second"`
			}
			chronik(t, &data, "-B", bootstrap(c), "bench", "produce", "-n", "500k", "-c", "chronik.flush="+flush)
			rate[flush] = append(rate[flush], data.RecordsPerSecond)
		}
	}
	for _, flush := range []string{"fsync", "async"} {
		report(t, "highest rate, 1 KiB, kgo defaults, flush="+flush, "records/s", rate[flush])
	}
	report(t, "RSS of a broker after that load", "MiB", rss(t, c))
}

func rss(t *testing.T, c *devcluster.Cluster) []float64 {
	t.Helper()
	var all []float64
	for _, b := range c.Brokers() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.PID))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pages*float64(os.Getpagesize())/(1<<20))
	}
	return all
}

func producer(t *testing.T, c *devcluster.Cluster, topic string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.Bootstrap()...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(10*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestColdStart measures from the start of three processes to the first
// acks=all, the creation of the topic included, and their memory at rest.
func TestColdStart(t *testing.T) {
	var starts, idle []float64
	for range *rounds {
		began := time.Now()
		c := harness.Start(t, devcluster.Options{Brokers: 3})
		chronik(t, nil, "-B", bootstrap(c), "topic", "create", "t", "-p", "6", "-r", "3")
		if err := producer(t, c, "t").ProduceSync(t.Context(), &kgo.Record{Value: []byte("first")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		starts = append(starts, time.Since(began).Seconds())
		idle = append(idle, rss(t, c)...)
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	report(t, "cold start of three brokers to the first acks=all", "s", starts)
	report(t, "RSS of an idle broker", "MiB", idle)
}

// victim says whom to kill.
type victim struct {
	name string
	// pick chooses a broker, and a partition whose acks are watched.
	pick func(t *testing.T, c *devcluster.Cluster, rows []isrRow) (broker int, partition int32)
}

type isrRow struct {
	Partition int32 `json:"partition"`
	Leader    int   `json:"leader"`
	ISR       []int `json:"isr"`
}

// TestUnavailability kills brokers under a steady load and measures the longest
// time between two acknowledgements on a partition that the kill touches.
func TestUnavailability(t *testing.T) {
	victims := []victim{
		{"the partition's leader (not the raft leader)", func(t *testing.T, c *devcluster.Cluster, rows []isrRow) (int, int32) {
			raft := controller(t, c)
			for _, r := range rows {
				if r.Leader != raft {
					return r.Leader, r.Partition
				}
			}
			t.Fatal("the raft leader leads every partition")
			return 0, 0
		}},
		{"the partition's leader, which is the raft leader", func(t *testing.T, c *devcluster.Cluster, rows []isrRow) (int, int32) {
			raft := controller(t, c)
			for _, r := range rows {
				if r.Leader == raft {
					return raft, r.Partition
				}
			}
			t.Fatal("the raft leader leads no partition")
			return 0, 0
		}},
		{"a follower", func(t *testing.T, c *devcluster.Cluster, rows []isrRow) (int, int32) {
			raft := controller(t, c)
			for _, r := range rows {
				for _, id := range r.ISR {
					if id != r.Leader && id != raft {
						return id, r.Partition
					}
				}
			}
			t.Fatal("no follower")
			return 0, 0
		}},
	}
	for _, v := range victims {
		var gaps []float64
		for range 2 * *rounds {
			gaps = append(gaps, longestGap(t, v))
		}
		report(t, "longest time without an ack after SIGKILL of "+v.name, "s", gaps)
	}
}

func longestGap(t *testing.T, v victim) float64 {
	t.Helper()
	c := harness.Start(t, devcluster.Options{Brokers: 3})
	chronik(t, nil, "-B", bootstrap(c), "topic", "create", "t", "-p", "6", "-r", "3", "--wait-isr")
	var rows []isrRow
	chronik(t, &rows, "-B", bootstrap(c), "isr", "show", "t")
	broker, partition := v.pick(t, c, rows)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := producer(t, c, "t")
	acked := make(chan time.Time, 1<<16)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var killed time.Time
	last, gap := time.Now(), time.Duration(0)
	for began := time.Now(); killed.IsZero() || time.Since(killed) < 8*time.Second; {
		select {
		case <-tick.C:
			client.TryProduce(ctx, &kgo.Record{Partition: partition, Value: []byte("x")}, func(_ *kgo.Record, err error) {
				if err == nil {
					acked <- time.Now()
				}
			})
			if killed.IsZero() && time.Since(began) > time.Second {
				killed = time.Now()
				i, _ := c.Index(broker)
				if err := c.Kill(i); err != nil {
					t.Fatal(err)
				}
			}
		case at := <-acked:
			if !killed.IsZero() {
				gap = max(gap, at.Sub(last))
			}
			last = at
		}
	}
	if time.Since(last) > time.Second {
		t.Fatalf("no ack for %s at the end", time.Since(last))
	}
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return gap.Seconds()
}

// TestRecovery kills a broker alone that holds a large log, with as much of it
// in the write-ahead log as there can be, and measures until it serves again.
func TestRecovery(t *testing.T) {
	c := harness.Start(t, devcluster.Options{Brokers: 1})
	records := *recoverySize << 10
	chronik(t, nil, "-B", bootstrap(c), "topic", "create", "t", "-p", "6", "-r", "1")
	chronik(t, nil, "-B", bootstrap(c), "bench", "produce", "--topic", "t", "-n", strconv.FormatInt(records, 10), "--linger", "0s",
		"--compression", "none", "--verify", "off")
	var took []float64
	for range *rounds {
		if err := c.Kill(0); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Restart(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began).Seconds())
	}
	report(t, fmt.Sprintf("start of a broker with a log of %d MiB after SIGKILL", *recoverySize), "s", took)
}
