package partition

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

var (
	stormAll    = flag.Bool("storm.all", false, "fail every operation of the run, not one of several")
	stormOps    = flag.Int64("storm.ops", 10_000, "operations on the file system that the random run has at least")
	stormSeed   = flag.Uint64("storm.seed", 1, "seed of the random run")
	stormStride = flag.Int64("storm.stride", 12, "without -storm.all: one operation of so many is failed")
)

// accident is what happens to the disk at an operation.
type accident int

const (
	powerCut accident = iota
	errorOnce
	errorAlways
	fullOnce
	fullAlways
	shortWrite
	accidents
)

func (a accident) String() string {
	return [...]string{"power cut", "one EIO", "EIO from then on", "one ENOSPC", "ENOSPC from then on", "short write"}[a]
}

// strike arms the disk for the operation with this index.
func (a accident) strike(fault *vfs.Fault, at int64, rng *rand.Rand) {
	rule := vfs.Rule{Op: vfs.OpChange, After: at, Err: syscall.EIO, Forget: true}
	switch a {
	case powerCut:
		fault.StopAfter(at)
		return
	case errorAlways, accidents:
	case errorOnce:
		rule.Times = 1
	case fullOnce, fullAlways:
		rule.Err = syscall.ENOSPC
		if a == fullOnce {
			rule.Times = 1
		}
		fault.Inject(vfs.Rule{Op: vfs.OpRemove}) // needs no room
	case shortWrite:
		rule.Op, rule.Short, rule.Times = vfs.OpWrite, rng.IntN(4000), 1
		if rng.IntN(2) == 0 {
			rule.Err = syscall.ENOSPC
		}
	}
	fault.Inject(rule)
}

// chapter is a life that can be lived again.
type chapter struct {
	before *storm
	seed   uint64
	script []step // nil: random steps
	first  int64  // operations of the run before it
	ops    int64
}

const chapterSteps = 24

// live begins a life and lives it until the process gives up.
func (c *chapter) live(s *storm, fault *vfs.Fault) (*life, error) {
	l, err := s.begin(rand.New(rand.NewPCG(c.seed, 1)), fault)
	if err == nil {
		c.act(l)
	}
	return l, err
}

func (c *chapter) act(l *life) {
	steps := chapterSteps
	if c.script != nil {
		steps = len(c.script)
	}
	for i := 0; i < steps && l.dead == nil; i++ {
		do := l.any()
		if c.script != nil {
			do = c.script[i]
		}
		do(l)
		l.settle()
	}
}

// newStorm is a broker that starts for the first time. The other broker exists
// in the metadata only.
func newStorm() *storm {
	s := &storm{disk: vfs.NewMem(), img: cluster.NewImage()}
	for _, cmd := range []cluster.Command{
		cluster.InitCluster{ClusterID: "storm"},
		cluster.RegisterBroker{Broker: cluster.Broker{ID: 2, Incarnation: cluster.UUID{2}, Directory: cluster.UUID{2}}},
		cluster.UnfenceBroker{ID: 2, Epoch: 2},
		cluster.RegisterBroker{Broker: cluster.Broker{ID: 1, Incarnation: cluster.UUID{1}, Directory: cluster.UUID{1}}},
		cluster.UnfenceBroker{ID: 1, Epoch: 4},
	} {
		s.index++
		s.img, _ = cluster.Apply(s.img, s.index, cmd)
	}
	for range 3 {
		s.index++
		id := cluster.UUID{9, 0xff, byte(s.index)}
		s.img, _ = cluster.Apply(s.img, s.index, cluster.CreateTopic{
			ID: id, Name: id.String(), Assignment: [][]cluster.BrokerID{{1, 2}},
			Configs: map[string]string{"min.insync.replicas": "1", "retention.bytes": "16000"},
		})
		s.ledgers = append(s.ledgers, &ledger{tp: cluster.TopicPartition{TopicID: id}, states: []logState{{}}})
	}
	return s
}

// run lives through chapters until there were so many operations. No disk
// fails; the lives end in good order, by a kill, or by a loss of power.
func run(t *testing.T, seed uint64, ops int64, script []step) (chapters []*chapter, total int64) {
	t.Helper()
	s := newStorm()
	for total < ops {
		c := &chapter{before: s.clone(), seed: seed<<20 + uint64(len(chapters)), script: script, first: total}
		rng := rand.New(rand.NewPCG(c.seed, 2))
		fault := vfs.NewFault(s.disk)
		var l *life
		var durable wal.LSN
		synctest.Test(t, func(t *testing.T) {
			var err error
			if l, err = c.live(s, fault); err != nil {
				t.Fatalf("seed %d, life %d: %v", seed, len(chapters), err)
			}
			if rng.IntN(3) == 0 {
				durable = l.stop()
			} else {
				durable = l.kill()
			}
			l.wait = nil
		})
		if rng.IntN(3) > 0 {
			s.disk = s.disk.Crash(vfs.Loss{Rand: rng})
		}
		if err := errors.Join(l.wrong, l.dead, s.resume(durable)); err != nil {
			t.Fatalf("seed %d, life %d, without a fault: %v", seed, len(chapters), err)
		}
		c.ops = fault.Ops()
		total += c.ops
		chapters = append(chapters, c)
	}
	return chapters, total
}

// resume recovers the disk and forgets what the logs were before.
func (s *storm) resume(durable wal.LSN) error {
	ledgers := s.ledgers
	report, logs, err := reopen(s.disk, append(s.removed, s.ledgers...), durable)
	if err == nil && (len(report.Failed) > 0 || report.Corrupt) {
		err = fmt.Errorf("recovery reports %+v", report)
	}
	if err != nil {
		return err
	}
	s.ledgers, s.removed = nil, nil
	for _, l := range ledgers {
		f := logs[l.tp]
		s.ledgers = append(s.ledgers, &ledger{tp: l.tp, async: l.async, states: []logState{{start: f.start, end: f.end, batches: f.batches}}})
	}
	s.disk = s.disk.Crash(vfs.Loss{}) // what was recovered is on the disk
	_, _, err = reopen(s.disk.Crash(vfs.Loss{}), s.ledgers, 0)
	return err
}

// TestStorm fails each operation of a run in each way.
func TestStorm(t *testing.T) {
	t.Parallel()
	started := time.Now()
	chapters, total := run(t, *stormSeed, *stormOps, nil)
	scripted, more := run(t, 0, 1500, script())
	for _, c := range scripted {
		c.first += total
	}
	storm := newTally(t, *stormSeed, append(chapters, scripted...), total+more)
	t.Logf("%d operations in %d lives, in %v", total+more, len(storm.chapters), time.Since(started))
	for shard := range int64(stormShards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			storm.shard(t, shard)
		})
	}
}
