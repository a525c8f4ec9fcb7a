//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/broken"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/load"
)

var attempts = flag.Int("attempts", 5, "times that a broken build may get away")

// exposure is what a promise is put to the test by: with the real build it goes
// well, with one that lacks the promise it does not.
type exposure struct {
	build string
	run   func(t testing.TB, binary string)
}

var exposures = []exposure{
	{"wal_without_sync", exposePowerLoss},
	{"follower_acks_unsynced", exposePowerLoss},
	{"sync_error_ignored", exposeSyncFailure},
	{"unknown_position_counts", exposeUnknownPosition},
	{"first_replica_elected", exposeElection},
	{"reads_above_high_watermark", exposeIsolatedLeader},
	{"duplicates_appended", exposeRetries},
	{"duplicate_acked_at_once", exposeRetriesOfTheUncommitted},
	{"min_insync_ignored", exposeLoneLeader},
	{"corruption_cut", exposeCorruption},
	{"divergence_kept", exposeIsolatedLeader},
}

// TestExposures: the real build stands every one of them.
func TestExposures(t *testing.T) {
	var done []string
	for _, e := range exposures {
		name := runtime.FuncForPC(reflect.ValueOf(e.run).Pointer()).Name()
		name = name[strings.LastIndexByte(name, '.')+1:]
		if slices.Contains(done, name) {
			continue
		}
		done = append(done, name)
		t.Run(name, func(t *testing.T) { e.run(t, "") })
	}
}

// TestBrokenBuilds: each build without a promise is caught, which is goal 19.
func TestBrokenBuilds(t *testing.T) {
	c := newCampaign(t, 19, len(exposures), len(exposures))
	binaries := compiled(t)
	for number, e := range exposures {
		t.Run(e.build, func(t *testing.T) {
			binary, err := binaries(number)
			if err != nil {
				t.Fatal(err)
			}
			if took, why, ok := caught(t, e, binary); ok {
				c.Trials++
				c.samples = append(c.samples, took)
				c.More[e.build] = why
				return
			}
			c.Broken++
			t.Errorf("not caught in %d attempts", *attempts)
		})
	}
	c.finish("time until it was caught", 0, 0, 10*time.Minute)
}

// compiled returns what returns the binary of an exposure, by its number. While one
// is put to the test the next is built.
func compiled(t *testing.T) (binary func(number int) (path string, err error)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	outcomes := map[int]chan error{} // of those that have begun
	begin := func(number int) {
		if outcomes[number] != nil || number == len(exposures) {
			return
		}
		outcome, name := make(chan error, 1), exposures[number].build
		outcomes[number] = outcome
		go func() {
			defer close(outcome)
			build, ok := broken.ByName(name)
			if !ok {
				outcome <- errors.New("no such build")
				return
			}
			outcome <- build.Compile(ctx, root, filepath.Join(dir, name))
		}()
	}
	t.Cleanup(func() {
		stop()
		for _, outcome := range outcomes {
			for range outcome { // until the go command has ended
			}
		}
	})
	return func(number int) (string, error) {
		begin(number)
		err := <-outcomes[number]
		begin(number + 1)
		return filepath.Join(dir, exposures[number].build), err
	}
}

// caught runs an exposure until it fails, and returns how long that took, and what
// was wrong.
func caught(t *testing.T, e exposure, binary string) (took time.Duration, why string, ok bool) {
	t.Helper()
	began := time.Now()
	for n := 1; n <= *attempts; n++ {
		var complaints []string
		t.Run("attempt", func(t *testing.T) { complaints = watch(t, func(t testing.TB) { e.run(t, binary) }) })
		if len(complaints) > 0 {
			t.Logf("caught after %s, in attempt %d: %s", time.Since(began).Round(time.Second), n, strings.Join(complaints, "\n"))
			return time.Since(began), complaints[0], true
		}
	}
	return 0, "", false
}

// TestEveryBuildIsExposed keeps the two lists in step.
func TestEveryBuildIsExposed(t *testing.T) {
	for _, b := range broken.Builds {
		if !slices.ContainsFunc(exposures, func(e exposure) bool { return e.build == b.Name }) {
			t.Errorf("nothing exposes %s", b.Name)
		}
	}
}

func exposePowerLoss(t testing.TB, binary string) {
	p, disks := onFaulty(t, plan{binary: binary, load: heavy()})
	r := newRig(t, p)
	for range 3 {
		r.powerCut(disks, r.all()...)
		r.startAll(r.all()...)
		r.awaitAcks(50)
	}
	r.verdict(check.Rules{})
}

func exposeSyncFailure(t testing.TB, binary string) {
	p, disks := onFaulty(t, plan{binary: binary, partitions: 1})
	r := newRig(t, p)
	syncFails(r, disks, r.leader(0))
	r.verdict(check.Rules{})
}

// exposeUnknownPosition lets a leader be elected that never hears from the other
// member of its in-sync set, and kills it before that one has left.
func exposeUnknownPosition(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary, brokers: 5, partitions: 1})
	leader, followers := r.leader(0), r.followers(0)
	end := r.cut("two followers cut from each other", func() func() { return r.net.Cut(followers[0], followers[1]) })
	r.kill(leader)
	r.awaitNewLeader(leader, 0)
	r.pause(time.Second)
	r.kill(r.leader(0))
	end()
	r.start(leader)
	r.awaitAcks(50)
	r.verdict(check.Rules{})
}

// exposeElection kills a leader while the first replica is there and behind. The
// controller is the third, so that the first one hears of everything.
func exposeElection(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary, partitions: 6})
	controller := r.controller()
	partition, leader, followers := r.partitionThat("has the controller last", func(_ int, f []int) bool { return f[1] == controller })
	behind := followers[0]
	r.kill(behind)
	r.awaitAcksOn(200, partition)
	end := r.cut("a broker that is behind cut from the leader", func() func() { return r.net.Cut(leader, behind) })
	r.start(behind)
	r.pause(time.Second)
	r.kill(leader)
	r.pause(2 * time.Second)
	end()
	r.awaitAcksOn(50, partition)
	r.verdict(check.Rules{})
}

// exposeIsolatedLeader lets clients use a leader that has no followers until
// another is elected.
func exposeIsolatedLeader(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary})
	leader := r.leaderThat(func(id int) bool { return id != r.controller() })
	led := r.ledBy(leader)
	end := r.cut("a leader cut from all brokers", func() func() { return r.net.Isolate(leader, without(r.all(), leader)...) })
	r.awaitAcksOn(50, led...) // from another
	end()
	r.awaitAcks(50)
	r.verdict(check.Rules{})
}

// impatient is a load whose requests time out while a follower is away.
func impatient() load.Config {
	return load.Config{Idempotent: 2, Ordered: 1, AckTimeout: 500 * time.Millisecond}
}

// exposeRetries lets requests time out at a leader that waits for a follower, so
// that clients send them again.
func exposeRetries(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary, partitions: 1, load: impatient()})
	end := r.cut("a follower cut from the leader", func() func() { return r.net.Cut(r.leader(0), r.followers(0)[0]) })
	r.pause(2 * time.Second)
	end()
	r.awaitAcks(50)
	r.verdict(check.Rules{})
}

// exposeRetriesOfTheUncommitted does so at a leader that loses the lead before
// anything was committed.
func exposeRetriesOfTheUncommitted(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary, partitions: 1, load: impatient()})
	leader := r.leader(0)
	end := r.cut("the leader cut from its followers", func() func() { return r.net.Isolate(leader, r.followers(0)...) })
	r.pause(2 * time.Second)
	r.kill(leader)
	end()
	r.awaitAcks(50)
	r.verdict(check.Rules{})
}

// exposeLoneLeader leaves a leader alone for as long as samples need to see it.
func exposeLoneLeader(t testing.TB, binary string) {
	r := newRig(t, plan{binary: binary, brokers: 5, partitions: 1})
	for _, id := range r.followers(0) {
		r.kill(id)
	}
	r.awaitISR(15*time.Second, func(isr []int32) bool { return len(isr) == 1 })
	before := r.load.Least()
	r.pause(2 * time.Second)
	if n := r.load.Least() - before; n > 0 {
		t.Errorf("%d records were acknowledged by one replica alone", n)
	}
	r.verdict(check.Rules{})
}

// exposeCorruption damages the log of the last one in sync, which leads next unless
// it says that its log is damaged.
func exposeCorruption(t testing.TB, binary string) {
	p := plan{binary: binary, brokers: 5, partitions: 1, host: small}.withDefaults()
	for range p.brokers {
		p.disks = append(p.disks, plainDir(t.TempDir()))
	}
	r := newRig(t, p)
	r.awaitAcks(200)
	first, others := r.leader(0), r.followers(0)
	for _, id := range others {
		r.kill(id)
	}
	r.awaitISR(15*time.Second, func(isr []int32) bool { return len(isr) == 1 })
	rest := slices.DeleteFunc(r.all(), func(id int) bool { return slices.Contains(others, id) })
	for _, id := range rest {
		r.kill(id)
	}
	seed := rand.Uint64()
	r.fault(first, "damage", func() error {
		injury, err := disk.Damage(rand.New(rand.NewPCG(seed, 0)), p.disks[first-1].Dir(), disk.WAL, disk.FlipOneBit, nil)
		t.Logf("seed %d: %v", seed, injury)
		return err
	})
	r.startAll(rest...)
	r.pause(2 * time.Second) // in which a replica without a part of its log would lead
	r.startAll(others...)
	r.awaitAcks(50)
	r.verdict(check.Rules{})
}
