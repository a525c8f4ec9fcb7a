//go:build faults && linux

package powercut

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/disk"
)

// livesPerTopic bounds what a process must verify.
const livesPerTopic = 8

// outcome is the goal's line, and what shows that the trials were hard.
type outcome struct {
	Goal       int     `json:"goal"`
	Trials     int     `json:"trials"` // cuts; in the line, those that were not void
	Acked      int64   `json:"acked"`
	Lost       int64   `json:"lost"`
	Dup        int64   `json:"dup"`
	Violations int     `json:"violations"`
	Void       int     `json:"void"` // cuts before which nothing was acknowledged
	Of         string  `json:"of"`
	P50        float64 `json:"p50"` // of recovery, ms
	P99        float64 `json:"p99"`
	Form       string  `json:"form"`
	Seed       uint64  `json:"seed"`
	Commit     string  `json:"commit"`

	InRecovery int     `json:"cuts_in_recovery"`
	Torn       int     `json:"torn_tails"`
	Stale      int     `json:"deleted_replicas_reported_failed"`
	Verified   int64   `json:"records_verified"`
	Topics     int     `json:"topics"`
	PerSecond  float64 `json:"cuts_per_second"`

	recoveries []time.Duration
	said       []string
}

// bench is one disk that is cut over and over.
type bench struct {
	disk   disk.Volatile
	rng    *rand.Rand
	order  order
	ledger ledger
	out    outcome
	ended  bool // there is no point in going on
}

// trial is one life and its cut.
func (b *bench) trial(ctx context.Context, p plan) error {
	b.order.Rotate = b.order.Lives == livesPerTopic
	a, err := live(ctx, b.disk, b.order, p)
	if err != nil {
		return fmt.Errorf("disk of seed %d, life %d: %w", b.order.Seed, b.order.Life, err)
	}
	life := b.order.Life
	b.order.Life++
	b.out.Trials++
	b.out.Stale += a.stale
	b.violated(life, a.bad)
	if b.ended = a.ended; a.ended {
		return nil
	}
	if !a.isReady {
		b.out.InRecovery++
		b.out.Void++
		return nil
	}
	b.out.recoveries = append(b.out.recoveries, a.recovery)
	b.out.Verified += a.verified
	if a.torn > 0 {
		b.out.Torn++
	}
	lost, violations := b.ledger.found(a.runs)
	b.out.Lost += lost
	b.violated(life, violations)
	from := ends(a.runs)
	b.order.Lives++
	if b.order.Rotate {
		b.order.Topic, b.order.Lives = b.order.Topic+1, 1
		b.ledger, from = ledger{}, [partitions]int64{}
		b.out.Topics++
	}
	acked := b.ledger.acknowledge(life, from, a.acked)
	b.out.Acked += acked
	if acked == 0 {
		b.out.Void++
	}
	return nil
}

// violated notes what must not be. A record in the wrong place is a duplicate,
// or one that another overwrote.
func (b *bench) violated(life uint64, what []string) {
	b.out.Violations += len(what)
	for _, v := range what {
		if strings.Contains(v, "has the record of") {
			b.out.Dup++
		}
		b.out.said = append(b.out.said, fmt.Sprintf("disk of seed %d, life %d: %s", b.order.Seed, life, v))
	}
}

// run cuts a disk so often, and verifies what is left in the end.
func (b *bench) run(ctx context.Context, k kind, trials int) error {
	for range trials {
		if err := b.trial(ctx, k.plan(b)); err != nil {
			return err
		}
		if b.ended || len(b.out.said) > 20 {
			return nil // more of it says nothing new
		}
	}
	cuts, void := b.out.Trials, b.out.Void
	err := b.trial(ctx, plan{ready: true})
	b.out.Trials, b.out.Void = cuts, void
	return err
}

// kind is a kind of disk.
type kind struct {
	make func(t *testing.T) disk.Volatile
	// plan draws the end of the next life.
	plan func(b *bench) plan
}

var (
	// onExt4 cuts at any time: what is lost is what ext4 loses.
	onExt4 = kind{
		make: func(t *testing.T) disk.Volatile { return disk.NewExt4(t, disk.Ext4Options{Bytes: 128 << 20}) },
		plan: (*bench).atAnyTime,
	}
	// onFaulty cuts at any operation: what is lost is what POSIX lets a file
	// system lose, down to sectors.
	onFaulty = kind{
		make: func(t *testing.T) disk.Volatile { return disk.NewFaulty(t, disk.FaultyOptions{LoseUnsynced: true}) },
		plan: (*bench).atAnyOperation,
	}
)

// atAnyTime draws a moment.
func (b *bench) atAnyTime() plan {
	p := plan{ready: b.rng.IntN(8) > 0, after: time.Duration(b.rng.IntN(40_000)) * time.Microsecond}
	if p.ready && b.rng.IntN(12) == 0 {
		p.after = time.Duration(b.rng.IntN(300)) * time.Millisecond
	}
	if b.rng.IntN(3) == 0 {
		p.writeback = min(p.after, time.Duration(1+b.rng.IntN(3000))*time.Microsecond)
	}
	return p
}

// atAnyOperation draws an operation and what the cut spares.
func (b *bench) atAnyOperation() plan {
	var loss disk.Loss
	if b.rng.IntN(4) > 0 {
		loss.Rand = b.rng
	}
	loss.KeepNames = b.rng.IntN(2) == 0
	if f, ok := b.disk.(*disk.Faulty); ok {
		f.SetLoss(loss)
	}
	p := plan{ready: true, after: time.Second, operation: 1 + b.rng.IntN(400)}
	if b.rng.IntN(4) == 0 {
		p.operation = 1 + b.rng.IntN(40) // in recovery, or soon after
	}
	if b.rng.IntN(3) == 0 {
		p.keep = -1
	}
	return p
}

// cutPower runs trials on several disks of a kind.
func cutPower(t *testing.T, k kind, trials, disks int, broken string) outcome {
	t.Helper()
	start := time.Now()
	benches := make([]*bench, disks)
	var running sync.WaitGroup
	for i := range benches {
		d := k.make(t)
		own := *seed<<8 + uint64(i)
		benches[i] = &bench{
			disk: d, rng: rand.New(rand.NewPCG(own, 0)),
			order: order{Dir: d.Dir(), Seed: own, Life: 1, Broken: broken},
		}
		running.Go(func() {
			if err := benches[i].run(t.Context(), k, (trials+i)/disks); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	sum := outcome{Goal: 3, Seed: *seed, Commit: commit(t)}
	for _, b := range benches {
		sum.add(b.out)
	}
	slices.Sort(sum.recoveries)
	if n := len(sum.recoveries); n > 0 {
		sum.P50 = float64(sum.recoveries[n/2].Microseconds()) / 1000
		sum.P99 = float64(sum.recoveries[n*99/100].Microseconds()) / 1000
	}
	sum.PerSecond = float64(sum.Trials) / time.Since(start).Seconds()
	return sum
}

func (o *outcome) add(p outcome) {
	o.Trials += p.Trials
	o.Acked += p.Acked
	o.Lost += p.Lost
	o.Dup += p.Dup
	o.Violations += p.Violations
	o.Void += p.Void
	o.InRecovery += p.InRecovery
	o.Torn += p.Torn
	o.Stale += p.Stale
	o.Verified += p.Verified
	o.Topics += p.Topics
	o.recoveries = append(o.recoveries, p.recoveries...)
	o.said = append(o.said, p.said...)
}

// commit is what is being tested.
func commit(t *testing.T) string {
	out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// TestPowerCuts is goal 3.
func TestPowerCuts(t *testing.T) { expectNothingLost(t, onExt4) }

// TestPowerCutsAtOperations is the same on a disk that keeps no more than it
// must, and that dies at exact places.
func TestPowerCutsAtOperations(t *testing.T) { expectNothingLost(t, onFaulty) }

func expectNothingLost(t *testing.T, k kind) {
	t.Helper()
	sum := cutPower(t, k, *cuts, *disks, "")
	done := sum.Trials
	sum.Trials, sum.Of, sum.Form = done-sum.Void, "recovery, ms", "short"
	if done >= 1000 {
		sum.Form = "long"
	}
	line, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "%s\n", line)
	for _, v := range sum.said {
		t.Error(v)
	}
	if done < *cuts || sum.Void > sum.Trials || sum.Acked == 0 {
		t.Errorf("%d cuts of %d, %d of them void: nothing is proven", done, *cuts, sum.Void)
	}
}

// TestWithoutSync proves that cuts lose something: a writer that acknowledges
// what it did not sync is caught.
func TestWithoutSync(t *testing.T) {
	for name, tc := range map[string]struct {
		kind   kind
		broken string
	}{
		"files on ext4":   {onExt4, "files"},
		"files on faulty": {onFaulty, "files"},
		"names on faulty": {onFaulty, "names"},
	} {
		t.Run(name, func(t *testing.T) {
			sum := cutPower(t, tc.kind, 40, 1, tc.broken)
			t.Logf("%d of %d acknowledged records lost in %d cuts: %q", sum.Lost, sum.Acked, sum.Trials, sum.said[:min(3, len(sum.said))])
			if sum.Violations == 0 {
				t.Error("a writer that does not sync lost nothing")
			}
		})
	}
}
