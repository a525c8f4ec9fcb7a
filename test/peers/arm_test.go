//go:build peers

package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

// load is one shape of the load: in an open loop, or, without a rate, as many
// records as fast as it goes.
type load struct {
	rate, size, partitions int
	records                int
}

func (l load) String() string {
	if l.rate == 0 {
		return fmt.Sprintf("%d B, %d partitions, client's defaults", l.size, l.partitions)
	}
	return fmt.Sprintf("%d/s, %d B, %d partitions", l.rate, l.size, l.partitions)
}

// turn is what was measured of one arm in one turn.
type turn struct {
	p50, p99  float64 // ms
	perSecond float64
	failed    float64 // share of what was offered that was not acked
	all       float64 // records acked, those of the warm-up too
	valid     bool

	cpu     float64 // seconds of the arm's servers
	written float64 // bytes that they gave the disk to write
	others  float64 // CPU seconds of all other clusters meanwhile, as a share of the machine
}

// arm is a cluster with a way to load it.
type arm struct {
	peer
	label string
	// offer makes a fresh topic, loads it and removes it.
	offer func(t *testing.T, l load, seconds int) turn
}

// kafkaArm loads through chronik bench, with these settings of the topic.
func kafkaArm(b broker, label string, config ...string) arm {
	return arm{b, label, func(t *testing.T, l load, seconds int) turn {
		if l.rate == 0 {
			return rushKafka(t, b, config, l)
		}
		return offerKafka(t, b, config, l, seconds)
	}}
}

func offerKafka(t *testing.T, b broker, config []string, l load, seconds int) turn {
	t.Helper()
	var data struct {
		Arms []struct {
			Response map[string]float64 `json:"response_us"`
			Offered  float64            `json:"offered"`
			Acked    float64            `json:"acked"`
			Achieved float64            `json:"achieved_per_second"`
		} `json:"arms"`
		Warmup struct {
			Records float64 `json:"records"`
		} `json:"warmup"`
		Generator struct {
			Valid bool `json:"valid"`
		} `json:"generator"`
	}
	args := []string{"acks-all", "--acks", "all", "--rate", strconv.Itoa(l.rate), "--duration", fmt.Sprintf("%ds", seconds), "--warmup", fmt.Sprintf("%ds", turnWarmup), "--warmup-max", fmt.Sprintf("%ds", 3*turnWarmup)}
	if raw := rawFile(b.name()); raw != "" {
		args = append(args, "--out", raw)
	}
	bench(t, b, &data, l, config, args...)
	if len(data.Arms) != 1 || data.Arms[0].Offered == 0 {
		t.Fatalf("%s: no load", b.name())
	}
	r := data.Arms[0]
	return turn{
		p50: r.Response["p50"] / 1000, p99: r.Response["p99"] / 1000, perSecond: r.Achieved,
		failed: 1 - r.Acked/r.Offered, all: r.Acked + data.Warmup.Records, valid: data.Generator.Valid,
	}
}

func rushKafka(t *testing.T, b broker, config []string, l load) turn {
	t.Helper()
	const warmup = 10_000 // records: the command's default
	var data struct {
		RecordsPerSecond float64 `json:"records_per_second"`
		Acked            float64 `json:"acked"`
	}
	bench(t, b, &data, l, config, "produce", "-n", strconv.Itoa(l.records), "--warmup-records", strconv.Itoa(warmup))
	return turn{
		perSecond: data.RecordsPerSecond, failed: 1 - data.Acked/float64(l.records), all: data.Acked + warmup,
		valid: data.Acked == float64(l.records),
	}
}

// bench runs a bench command of the toolkit and decodes its data. A status that is
// about the quality of the run is not an error here.
func bench(t *testing.T, b broker, into any, l load, config []string, args ...string) {
	t.Helper()
	args = append([]string{"-B", strings.Join(b.bootstrap(), ","), "-o", "json", "--timeout", "10m", "bench"}, args...)
	args = append(args, "--record-size", strconv.Itoa(l.size), "--partitions", strconv.Itoa(l.partitions),
		"--replication-factor", "3", "--verify", "off", "-c", "min.insync.replicas=2")
	for _, c := range config {
		args = append(args, "-c", c)
	}
	cmd := exec.CommandContext(t.Context(), harness.Binary(), args...)
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

// natsArm loads through test/peers/nats.
func natsArm(n *nats, label string) arm {
	return arm{n, label, func(t *testing.T, l load, seconds int) turn {
		name := streamName()
		streams := []string{"-name", name, "-streams", strconv.Itoa(l.partitions)}
		n.must(t, &nothing{}, append([]string{"create"}, streams...)...)
		args := append([]string{"load", "-rate", strconv.Itoa(l.rate), "-size", strconv.Itoa(l.size), "-seconds", strconv.Itoa(seconds), "-warmup", strconv.Itoa(turnWarmup)}, streams...)
		offered := 0.0
		if l.rate == 0 {
			args = append([]string{"rush", "-records", strconv.Itoa(l.records), "-size", strconv.Itoa(l.size)}, streams...)
			offered = float64(l.records)
		} else if raw := rawFile(n.name()); raw != "" {
			args = append(args, "-hgrm", raw+".hgrm")
		}
		var r natsLoad
		n.must(t, &r, args...)
		n.must(t, &nothing{}, append([]string{"delete"}, streams...)...)
		return turn{
			p50: r.Response["p50"] / 1000, p99: r.Response["p99"] / 1000, perSecond: r.PerSecond,
			failed: 1 - r.Acked/max(offered, r.Offered), all: r.All, valid: r.Valid,
		}
	}}
}

// othersLimit is the share of the machine that clusters may take while another has
// its turn. Idle ones take less than a tenth.
const othersLimit = 0.15

var rawCount atomic.Int32

// rawFile is a new name below -raw, or empty.
func rawFile(name string) string {
	if *rawPath == "" {
		return ""
	}
	return filepath.Join(*rawPath, fmt.Sprintf("%04d-%s", rawCount.Add(1), name))
}

// measure is one turn of an arm, after the disk and the deletions of the last one
// have come to rest, with what it cost.
func (c *contest) measure(t *testing.T, a arm, l load, seconds int) turn {
	t.Helper()
	syscall.Sync()
	harness.Pause(t, *settleFor)
	clock := newStopwatch()
	others := c.othersCPU(t, a)
	cpu, written := cpuSeconds(t, a), writtenBytes(t, a)
	r := a.offer(t, l, seconds)
	r.cpu, r.written = cpuSeconds(t, a)-cpu, writtenBytes(t, a)-written
	r.others = (c.othersCPU(t, a) - others) / clock.cores()
	r.valid = r.valid && r.others <= othersLimit
	progress("  %s, %s: p50 %.3g ms, p99 %.3g ms, %.0f/s, valid %v, the other clusters took %.1f%% of the machine",
		a.label, l, r.p50, r.p99, r.perSecond, r.valid, 100*r.others)
	return r
}
