//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/load"
)

// repairLimit is how long a cluster may take until a broker whose file was
// damaged has everything again, from its start.
const repairLimit = 60 * time.Second

// TestGoal6Damage: a file of one broker is damaged while it is down, of each
// class and in each way. It is noticed, or it does not matter; nothing is lost;
// and the broker has everything again within a minute, without a hand. A broker
// that refuses to start, and names the file, is given an empty disk as its
// operator is told to: those are counted as refused.
func TestGoal6Damage(t *testing.T) {
	c := newCampaign(t, 6, 4, 500)
	for _, name := range []string{"detected", "silent", "refused", "nothing_there"} {
		c.More[name] = 0
	}
	var left []injury
	for c.more() {
		c.cluster(func(t *testing.T) {
			p := plan{load: load.Config{Idempotent: 1, Ordered: 1, Direct: 1, Rate: 100, ConsumerLife: 10 * time.Second}}.withDefaults()
			p.host.Args = []string{"--memory", "64MiB", "--wal-file-size", "4MiB"}
			for range p.brokers {
				p.disks = append(p.disks, plainDir(t.TempDir()))
			}
			r := startRig(t, p)
			for round := 0; round < roundsPerCluster && c.more(); round++ {
				if round > 0 {
					r.nextRound()
				}
				n, done := c.pick(8), 0
				for range n {
					if len(left) == 0 {
						left = injuries()
						c.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
					}
					done += c.injure(r, left[0])
					left = left[1:]
				}
				c.judge(r, done, check.Rules{})
			}
		})
	}
	c.finish("start of the broker to full in-sync sets, ms", 0, 0, repairLimit)
}

// injury is one way to damage one class of files.
type injury struct {
	class disk.Class
	harm  disk.Harm
}

func injuries() []injury {
	var all []injury
	for _, class := range disk.Classes {
		for _, harm := range disk.Harms {
			all = append(all, injury{class, harm})
		}
	}
	return all
}

// injure damages one file of one broker. It returns how many trials that is:
// none if there was nothing to damage.
func (c *campaign) injure(r *rig, i injury) int {
	r.Helper()
	victim := 1 + c.rng.IntN(r.plan.brokers)
	dir := r.plan.disks[victim-1].Dir()
	r.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
	r.stop(victim) // a checkpoint, and segments
	kept, err := disk.Keep(dir, i.class)
	if err != nil {
		r.Fatal(err)
	}
	r.start(victim)
	r.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
	r.pause(between(c.rng, 200*time.Millisecond, 1500*time.Millisecond))
	if c.rng.IntN(4) == 0 {
		r.stop(victim)
	} else {
		r.kill(victim)
	}
	before := putAside(r, dir)
	var done disk.Injury
	r.fault(victim, fmt.Sprintf("%s: %s", i.class, i.harm), func() error {
		done, err = disk.Damage(c.rng, dir, i.class, i.harm, kept)
		return nil
	})
	if errors.Is(err, disk.ErrNothingThere) {
		c.count("nothing_there", 1)
		r.start(victim)
		return 0
	}
	if err != nil {
		r.Fatalf("%s, %s: %v", i.class, i.harm, err)
	}
	c.repaired(r, victim, done.Relative(dir), before)
	return 1
}

// repaired starts a broker with a damaged file and waits until it has everything.
func (c *campaign) repaired(r *rig, victim int, done disk.Injury, before []string) {
	r.Helper()
	log := r.brokers.Brokers()[victim-1].Log
	from := sizeOf(r, log)
	began := time.Now()
	how := "silent"
	if err := r.brokers.Restart(r.within(repairLimit), victim-1); err != nil {
		how = "refused"
		c.refused(r, victim, done, err)
		began = time.Now()
	}
	r.awaitISR(repairLimit, func(isr []int32) bool { return len(isr) == 3 })
	took := time.Since(began)
	dir := r.plan.disks[victim-1].Dir()
	if how == "silent" && (noticed(r, log, from) || !slices.Equal(before, putAside(r, dir))) {
		how = "detected"
	}
	c.samples = append(c.samples, took)
	c.count(how, 1)
	c.count(fmt.Sprintf("%s, %s: %s", done.Class, done.Harm, how), 1)
	r.Logf("broker %d, %s: %s, whole after %s", victim, done, how, took.Round(time.Millisecond))
}

// refused does what the operator of a broker that names a damaged file does: it
// gets an empty disk. A refusal that does not name it is no clear error.
func (c *campaign) refused(r *rig, victim int, done disk.Injury, err error) {
	r.Helper()
	var why *devcluster.BrokerError
	if !errors.As(err, &why) || !errors.Is(err, devcluster.ErrExited) {
		r.Fatalf("broker %d after %s: %v", victim, done, err)
	}
	if !strings.Contains(why.LogTail, filepath.Base(done.File)) {
		c.Broken++
		r.Errorf("broker %d refuses to start after %s, and does not name the file: %v\n%s", victim, done, err, why.LogTail)
	}
	r.fault(victim, "an empty disk", func() error { return empty(r.plan.disks[victim-1].Dir()) })
	r.start(victim)
}

// signs of a damage that was noticed, in the log of a broker.
var signs = []string{"level=WARN", "level=ERROR"}

// noticed tells whether a broker's log has warnings about files since some size.
func noticed(r *rig, log string, from int64) bool {
	r.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		r.Fatal(err)
	}
	for line := range strings.Lines(string(text[min(from, int64(len(text))):])) {
		if slices.ContainsFunc(signs, func(s string) bool { return strings.Contains(line, s) }) && aboutFiles(line) {
			return true
		}
	}
	return false
}

// aboutFiles tells warnings about what is on the disk from those about peers.
func aboutFiles(line string) bool {
	for _, word := range []string{"damage", "corrupt", "failed", "missing", "checksum", "crc", "lost", "snapshot", "checkpoint", "torn", "anew", "rebuil"} {
		if strings.Contains(strings.ToLower(line), word) {
			return true
		}
	}
	return false
}

func sizeOf(r *rig, name string) int64 {
	r.Helper()
	info, err := os.Stat(name)
	if err != nil {
		r.Fatal(err)
	}
	return info.Size()
}

// putAside are the replicas that a broker has given up.
func putAside(r *rig, dir string) []string {
	r.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(dir, "topics"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), ".failed") {
			all = append(all, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Fatal(err)
	}
	return all
}
