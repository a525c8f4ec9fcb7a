//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	c := newCampaign(t, 6, 1, 500)
	for _, name := range []string{"detected", "detected_when_read", "repaired_only_by_restart", "silent", "refused", "nothing_there"} {
		c.More[name] = 0
	}
	for c.more() {
		c.cluster(func(t *testing.T) {
			var left []injury
			p := plan{load: load.Config{Idempotent: 1, Ordered: 1, Direct: 1, Rate: 100, ConsumerLife: 10 * time.Second}}.withDefaults()
			p.host.Args = []string{"--memory", "64MiB", "--wal-file-size", "4MiB"}
			for range p.brokers {
				p.disks = append(p.disks, plainDir(t.TempDir()))
			}
			r := newRig(t, p)
			c.rounds(r, roundsPerCluster, func() {
				// Each broker once in a round: who leaves the in-sync set again and
				// again is let in after a longer wait each time, and a new topic
				// begins anew with that.
				victims := r.shuffled(c.rng)
				n, done := c.pick(len(victims)), 0
				for try := 0; done < n; try++ { // there may be nothing to damage
					if len(left) == 0 {
						left = injuries()
						c.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
					}
					done += c.injure(r, victims[try%len(victims)], left[0])
					left = left[1:]
				}
				c.judge(r, done, check.Rules{})
			})
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
func (c *campaign) injure(r *rig, victim int, i injury) int {
	r.Helper()
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
	dir := r.plan.disks[victim-1].Dir()
	if how == "silent" && (noticed(r, log, from) || !slices.Equal(before, putAside(r, dir))) {
		how = "detected"
	}
	if err := r.readAll(10 * time.Second); err != nil {
		r.Logf("broker %d, %s: noticed when read: %v", victim, done, err)
		how = "detected_when_read"
		c.repairs(r, victim, began)
	}
	if how == "silent" && noticed(r, log, from) {
		how = "detected_when_read"
	}
	r.awaitISR(repairLimit, func(isr []int32) bool { return len(isr) == 3 })
	took := time.Since(began)
	c.samples = append(c.samples, took)
	c.count(how, 1)
	c.count(fmt.Sprintf("%s, %s: %s", done.Class, done.Harm, how), 1)
	r.Logf("broker %d, %s: %s, whole after %s", victim, done, how, took.Round(time.Millisecond))
}

// readAll reads every replica: what is damaged and was not looked at yet shows
// then, and what was silent is proven to be harmless by the next judgement.
func (r *rig) readAll(within time.Duration) error {
	_, err := load.ReadReplicas(r.within(within), r.config())
	return err
}

// repairs waits until a replica that was found damaged when it was read is whole.
// If it is not in time, restarting its broker is the hand that it needs, which is
// one too many.
func (c *campaign) repairs(r *rig, victim int, began time.Time) {
	r.Helper()
	for time.Since(began) < repairLimit {
		if r.readAll(10*time.Second) == nil {
			r.awaitISR(repairLimit, func(isr []int32) bool { return len(isr) == 3 })
			return
		}
	}
	c.count("repaired_only_by_restart", 1)
	c.Broken++
	c.Errorf("broker %d, seed %d: not repaired within %s without a restart", victim, c.seed(), repairLimit)
	r.stop(victim)
	r.start(victim)
	r.awaitISR(settle, func(isr []int32) bool { return len(isr) == 3 })
}

// advice is what a broker that refuses to start tells its operator to do.
var advice = regexp.MustCompile(`remove (\S+) and start again`)

// refused does what the operator of a broker that refuses to start is told to do,
// or gives it an empty disk if it says no more than which file is damaged. A
// refusal that names neither the file nor its directory is no clear error.
func (c *campaign) refused(r *rig, victim int, done disk.Injury, err error) {
	r.Helper()
	var why *devcluster.BrokerError
	if !errors.As(err, &why) || !errors.Is(err, devcluster.ErrExited) {
		r.Fatalf("broker %d after %s: %v", victim, done, err)
	}
	dir := r.plan.disks[victim-1].Dir()
	last := why.LogTail[max(0, strings.LastIndex(why.LogTail, "error: broker")):] // and its hint
	r.Logf("broker %d refuses to start: %s", victim, last)
	switch told := advice.FindStringSubmatch(last); {
	case told != nil && strings.HasPrefix(told[1], dir):
		r.fault(victim, "what the error says: "+told[0], func() error { return os.RemoveAll(told[1]) })
	case strings.Contains(last, filepath.Base(done.File)):
		r.fault(victim, "an empty disk", func() error { return empty(dir) })
	default:
		c.Broken++
		r.Errorf("broker %d refuses to start after %s, and does not name the file: %v\n%s", victim, done, err, why.LogTail)
		r.fault(victim, "an empty disk", func() error { return empty(dir) })
	}
	r.start(victim)
}

// cutOff is what a broker says that cuts off the torn end of a log.
var cutOff = regexp.MustCompile(`torn_bytes=[1-9]`)

// noticed tells whether a broker's log has warnings about files since some size.
func noticed(r *rig, log string, from int64) bool {
	r.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		r.Fatal(err)
	}
	for line := range strings.Lines(string(text[min(from, int64(len(text))):])) {
		warns := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
		if cutOff.MatchString(line) || warns && aboutFiles(line) {
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
