//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/host"
)

// small are arguments for brokers on small disks.
var small = host.Options{Args: []string{"--memory", "128MiB", "--wal-file-size", "4MiB"}}

// onExt4 is a plan with a real file system for each broker.
func onExt4(t testing.TB, p plan) (plan, []*disk.Ext4) {
	t.Helper()
	p = p.withDefaults()
	p.host = small
	var disks []*disk.Ext4
	for range p.brokers {
		d := disk.NewExt4(t, disk.Ext4Options{Bytes: 1 << 30})
		disks, p.disks = append(disks, d), append(p.disks, d)
	}
	return p, disks
}

// onFaulty is a plan with a disk for each broker that does what it is told, and
// loses what was not synced when its power is cut.
func onFaulty(t testing.TB, p plan) (plan, []*disk.Faulty) {
	t.Helper()
	p = p.withDefaults()
	p.host = small
	var disks []*disk.Faulty
	for range p.brokers {
		d := disk.NewFaulty(t, disk.FaultyOptions{LoseUnsynced: true})
		disks, p.disks = append(disks, d), append(p.disks, d)
	}
	return p, disks
}

// TestOutcomeLeaderDiskFull: the lead goes to a broker with space, what is there
// stays readable, and the broker is whole again when there is space.
func TestOutcomeLeaderDiskFull(t *testing.T) {
	p, disks := onExt4(t, plan{partitions: 1})
	r := newRig(t, p)
	leader := r.leader(0)
	full := disks[leader-1]
	r.fault(leader, "disk full", func() error { return full.Fill(1 << 20) })
	r.awaitNewLeader(leader, 0)
	r.awaitAcks(100)
	r.fault(leader, "space", full.Free)
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 5*time.Second)
}

// TestOutcomeFollowerDiskFull: it leaves the in-sync set and comes back.
func TestOutcomeFollowerDiskFull(t *testing.T) {
	p, disks := onExt4(t, plan{partitions: 1})
	r := newRig(t, p)
	victim := r.followers(0)[0]
	full := disks[victim-1]
	r.fault(victim, "disk full", func() error { return full.Fill(1 << 20) })
	r.awaitISR(15*time.Second, func(isr []int32) bool { return !slices.Contains(isr, int32(victim)) })
	r.awaitAcks(100)
	r.fault(victim, "space", full.Free)
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 5*time.Second)
}

// TestOutcomeAllDisksFull: producers are told so at once, consumers read on, and
// everything goes on when there is space.
func TestOutcomeAllDisksFull(t *testing.T) {
	p, disks := onExt4(t, plan{partitions: 1})
	r := newRig(t, p)
	r.fault(0, "all disks full", func() (err error) {
		for _, d := range disks {
			err = errors.Join(err, d.Fill(1<<20))
		}
		return err
	})
	r.pause(3 * time.Second)
	began := time.Now()
	err := r.probe().ProduceSync(r.within(10*time.Second), &kgo.Record{Topic: topic, Value: []byte("refused")}).FirstErr()
	if !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("acks=all on full disks: %v, want KAFKA_STORAGE_ERROR", err)
	}
	r.atMost("refusal", time.Since(began), time.Second)
	r.readable(0, r.load.Least())
	r.fault(0, "space", func() (err error) {
		for _, d := range disks {
			err = errors.Join(err, d.Free())
		}
		return err
	})
	r.verdict(check.Rules{})
}

// TestOutcomeSyncFails: a broker whose write-ahead log cannot be synced once
// acknowledges nothing any more and ends; what it had acknowledged is there when
// it is started again.
func TestOutcomeSyncFails(t *testing.T) {
	p, disks := onFaulty(t, plan{partitions: 1})
	r := newRig(t, p)
	syncFails(r, disks, r.leader(0))
	r.verdict(check.Rules{})
}

// syncFails lets one sync of a broker's log fail and fails the test unless the
// broker ends. Then its power is cut: what the failed sync was for is gone.
func syncFails(r *rig, disks []*disk.Faulty, victim int) {
	r.Helper()
	exited := r.brokers.Exited(victim - 1)
	failure := disks[victim-1].Inject(disk.Rule{Op: disk.OpSync, Path: "wal", Times: 1, Err: syscall.EIO})
	r.fault(victim, "a sync fails", func() error { <-failure.Hit(); return nil })
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		r.Errorf("broker %d went on after a failed sync", victim)
	}
	r.awaitAcks(100)
	r.powerCut(disks, victim)
	r.start(victim)
}

// powerCut cuts the power of brokers, all at the same moment, and brings their
// disks back.
func (r *rig) powerCut(disks []*disk.Faulty, victims ...int) {
	r.Helper()
	volatile := make([]disk.Volatile, len(disks))
	for i, d := range disks {
		volatile[i] = d
	}
	r.lightsOut(volatile, victims...)
}

// end kills a broker, also one that has just ended by itself: its disk is gone.
func (r *rig) end(id int) error {
	if err := r.brokers.Kill(id - 1); !errors.Is(err, devcluster.ErrStopped) {
		return err
	}
	return nil // it was down
}

// startAll starts brokers together: none serves before a majority runs.
func (r *rig) startAll(ids ...int) {
	r.Helper()
	r.fault(0, "start", func() (err error) {
		for _, id := range ids {
			err = errors.Join(err, r.brokers.Launch(id-1))
		}
		for _, id := range ids {
			err = errors.Join(err, r.brokers.AwaitReady(r.within(40*time.Second), id-1))
		}
		return err
	})
}

// TestOutcomePowerLossOfAll: every broker loses its power at the same moment, and
// with it everything that was not synced. Nothing that was acknowledged is lost,
// and no hand is needed.
func TestOutcomePowerLossOfAll(t *testing.T) {
	p, disks := onFaulty(t, plan{})
	r := newRig(t, p)
	for range *cuts {
		r.powerCut(disks, r.all()...)
		r.startAll(r.all()...)
		r.awaitAcks(50)
	}
	r.verdict(check.Rules{})
}

// TestOutcomeTornWrite: the power goes in the middle of a write to the log.
func TestOutcomeTornWrite(t *testing.T) {
	p, disks := onFaulty(t, plan{partitions: 1})
	r := newRig(t, p)
	for range *cuts {
		victim := r.leader(0)
		d := disks[victim-1]
		r.fault(victim, "torn write", func() error {
			torn := d.Inject(disk.Rule{Op: disk.OpWrite, Path: "wal", Skip: rand.IntN(20), Times: 1, Keep: -1, PowerCut: true})
			<-torn.Hit()
			torn.Remove()
			return nil
		})
		r.powerCut(disks, victim)
		r.start(victim)
		r.awaitAcks(50)
		r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
	}
	r.verdict(check.Rules{})
}

// TestOutcomeCorruption: what is damaged on one disk while its broker is down is
// noticed, never served, never a reason to drop what others have, and repaired
// from them within a minute, although nobody reads it.
func TestOutcomeCorruption(t *testing.T) {
	for _, class := range []disk.Class{disk.WAL, disk.SegmentLog, disk.SegmentIndex, disk.Checkpoint} {
		t.Run(string(class), func(t *testing.T) {
			p := plan{partitions: 1}
			if class == disk.SegmentLog || class == disk.Checkpoint {
				// One is written every few seconds, and replaces what is damaged.
				p.load = heavy()
				p.load.Rate /= 2
			}
			p = p.withDefaults()
			for range p.brokers {
				p.disks = append(p.disks, plainDir(t.TempDir()))
			}
			p.host.Args = []string{"--memory", "128MiB", "--wal-file-size", "2MiB"}
			r := newRig(t, p)
			for i, harm := range []disk.Harm{disk.FlipOneBit, disk.ZeroOut} {
				harmed := r.corrupt(r.all()[i], class, harm)
				if class != disk.WAL { // whose damaged files stay until they are used again
					r.awaitRepair(60*time.Second, harmed)
				}
				r.awaitAcks(50)
				r.awaitISR(60*time.Second, func(isr []int32) bool { return len(isr) == 3 })
			}
			r.verdict(check.Rules{})
		})
	}
}

// plainDir is a directory as a disk.
type plainDir string

func (d plainDir) Dir() string { return string(d) }

// corrupt restarts a broker so that it has a checkpoint, kills it, damages a file
// and starts it.
func (r *rig) corrupt(victim int, class disk.Class, harm disk.Harm) (done wound) {
	r.Helper()
	r.stop(victim) // its checkpoint is what segments are read from
	r.start(victim)
	r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
	r.awaitAcks(50)
	r.kill(victim)
	seed := rand.Uint64()
	r.fault(victim, string(harm), func() error {
		injury, err := disk.Damage(rand.New(rand.NewPCG(seed, 0)), r.plan.disks[victim-1].Dir(), class, harm, nil)
		r.Logf("broker %d, seed %d: %v", victim, seed, injury)
		if err == nil {
			done = wound{file: injury.File, at: injury.Start}
			done.value, err = done.read()
		}
		return err
	})
	r.start(victim)
	return done
}

// wound is a damaged byte of a file.
type wound struct {
	file  string
	at    int64
	value byte
}

func (w wound) read() (byte, error) {
	f, err := os.Open(w.file)
	if err != nil {
		return 0, err
	}
	p := make([]byte, 1)
	_, err = f.ReadAt(p, w.at)
	return p[0], errors.Join(err, f.Close())
}

// awaitRepair waits until the byte is another one again.
func (r *rig) awaitRepair(d time.Duration, w wound) {
	r.Helper()
	r.await(d, "the repair of "+w.file, func(context.Context) error {
		now, err := w.read()
		if err == nil && now == w.value {
			err = errors.New("it is as damaged as it was")
		}
		return err
	})
}

// TestOutcomeSlowFollowerDisk: a disk that is slow, not dead, costs one wait.
func TestOutcomeSlowFollowerDisk(t *testing.T) {
	p, disks := onExt4(t, plan{partitions: 1, load: heavy()})
	r := newRig(t, p)
	victim := r.followers(0)[0]
	slow := disks[victim-1]
	r.fault(victim, "slow disk", func() error { return slow.Slow(100 << 10) })
	r.awaitISR(30*time.Second, func(isr []int32) bool { return !slices.Contains(isr, int32(victim)) })
	r.awaitAcks(200)
	r.fault(victim, "fast disk", func() error { return slow.Slow(0) })
	report := r.verdict(check.Rules{MaxFullISR: time.Minute})
	r.atMost("stall", report.Longest(), 12*time.Second)
}

// TestOutcomeDiskLost: a broker comes back with its id and an empty disk. It
// counts for nothing until it has everything again.
func TestOutcomeDiskLost(t *testing.T) {
	p := plan{}.withDefaults()
	for range p.brokers {
		p.disks = append(p.disks, plainDir(t.TempDir()))
	}
	r := newRig(t, p)
	for _, victim := range r.all() {
		r.kill(victim)
		r.fault(victim, "disk lost", func() error { return empty(r.plan.disks[victim-1].Dir()) })
		r.start(victim)
		r.awaitAcks(50)
		r.awaitISR(30*time.Second, func(isr []int32) bool { return len(isr) == 3 })
	}
	r.verdict(check.Rules{})
}

// empty removes everything in a directory.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
