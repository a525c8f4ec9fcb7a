package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

const stormShards = 4

// tally counts what the trials have shown.
type tally struct {
	chapters []*chapter
	ops      int64
	seed     uint64
	stride   int64
	offset   int64 // of the first operation that is failed

	mu         sync.Mutex
	trials     int             // guarded by mu
	acked      int64           // guarded by mu
	void       int             // guarded by mu; the operation did not come up again
	failed     int             // guarded by mu; trials in which a replica gave up, and said so
	died       int             // guarded by mu; trials in which the process gave up
	lost, dup  int             // guarded by mu
	violations int             // guarded by mu
	recoveries []time.Duration // guarded by mu
}

func newTally(t *testing.T, seed uint64, chapters []*chapter, ops int64) *tally {
	s := &tally{chapters: chapters, ops: ops, seed: seed, stride: 1}
	if !*stormAll {
		s.stride = *stormStride
		s.offset = rand.Int64N(s.stride)
		t.Logf("operations %d, %d, ...; -storm.all fails all of them", s.offset, s.offset+s.stride)
	}
	t.Cleanup(func() { s.print(t) })
	return s
}

// shard runs every so manieth trial.
func (s *tally) shard(t *testing.T, shard int64) {
	for _, c := range s.chapters {
		for at := range c.ops {
			op := c.first + at
			if op%s.stride != s.offset || op/s.stride%stormShards != shard {
				continue
			}
			for a := range accidents {
				if err := s.trial(t, c, a, at); err != nil {
					t.Errorf("%v at operation %d, which is %d of the life with seed %d: %v", a, op, at, c.seed, err)
					if t.Failed() && s.violations > 20 {
						return
					}
				}
			}
		}
	}
}

// trial lives a life up to an accident, and recovers from it.
func (s *tally) trial(t *testing.T, c *chapter, a accident, at int64) error {
	before := c.before.clone()
	rng := rand.New(rand.NewPCG(c.seed, uint64(at)<<8|uint64(a)))
	fault := vfs.NewFault(before.disk)
	a.strike(fault, at, rng)
	var l *life
	var durable wal.LSN
	var err error
	synctest.Test(t, func(*testing.T) {
		l, err = c.live(before, fault)
		if err != nil {
			return // recovery said no
		}
		if a == fullOnce || a == fullAlways {
			l.goesOn()
		}
		l.stays()
		durable = l.kill()
	})
	if err != nil && errors.Is(err, errLost) {
		return s.note(l, a, err)
	}
	err = errors.Join(l.wrong, s.recover(l, a, durable, rng))
	return s.note(l, a, err)
}

// note counts a trial.
func (s *tally) note(l *life, a accident, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trials++
	s.acked += int64(l.acked)
	if l.hit == "" {
		s.void++
	}
	if l.dead != nil {
		s.died++
	}
	switch {
	case err == nil:
	case errors.Is(err, errLost):
		s.lost++
	case strings.Contains(err.Error(), "producer"):
		s.dup++
	default:
		s.violations++
	}
	return err
}

// goesOn gives a broker room again: everything that has not failed for good must
// work.
func (l *life) goesOn() {
	l.fault.Clear()
	if l.dead != nil {
		return
	}
	l.tick()
	l.settle()
	if l.dead != nil {
		return
	}
	l.patiently("checkpoint", func() {
		if err := l.table.makeCheckpoint(context.Background()); err != nil && l.log.Err() == nil {
			l.violation("checkpoint with room again: %w", err)
		}
	})
	for _, led := range l.ledgers {
		r, ok := l.table.Get(led.tp)
		if !ok || r.hasFailed() || l.leader(led.tp) != 1 {
			continue
		}
		b, before := l.next(led), l.log.End()
		p, err := r.Append(context.Background(), AppendRequest{Batch: b, Acks: AcksAll, Deadline: time.Now().Add(time.Hour), Epoch: cluster.NoEpoch})
		if err != nil {
			l.violation("append with room again: %w", err)
		}
		if l.log.End() > before {
			led.append(l.log.End(), b)
		}
		if err != nil {
			continue
		}
		l.settle()
		select {
		case <-p.Done():
			if p.Err() != nil {
				l.violation("append with room again: %w", p.Err())
			}
		default:
			l.violation("%s: an append with room again is not acknowledged", led.tp)
		}
	}
}

// stays checks that a write-ahead log that has failed stays so.
func (l *life) stays() {
	if l.log.Err() == nil {
		return
	}
	synctest.Wait()
	before, durable := l.fault.Ops(), l.log.Durable()
	for _, r := range l.table.Replicas() {
		if r.log == nil {
			continue
		}
		_, err := r.Append(context.Background(), AppendRequest{Batch: batch(1, "late"), Acks: AcksLeader, Epoch: cluster.NoEpoch})
		if err == nil || !errors.Is(err, ErrStorage) && !errors.Is(err, ErrNotLeader) {
			l.violation("append after the write-ahead log has failed: %w", err)
		}
	}
	l.settle()
	if l.fault.Ops() != before || l.log.Durable() != durable {
		l.violation("the write-ahead log failed and goes on: %d operations, durable %d then %d", l.fault.Ops()-before, durable, l.log.Durable())
	}
}

// recover tries what the disk may hold now: after a kill, and after losses of
// power that left nothing else, everything, a part, or a random part.
func (s *tally) recover(l *life, a accident, durable wal.LSN, rng *rand.Rand) error {
	disk := l.disk
	ledgers := append(slices.Clone(l.removed), l.ledgers...)
	sound := a == powerCut || inLog(l.hit) || l.hit == ""
	losses := []vfs.Loss{{}, {Rand: rng}, {KeepBytes: rng.Int64N(disk.UnsyncedBytes() + 1)}}
	if a != powerCut {
		losses = losses[:1+rng.IntN(2)]
	}
	for _, loss := range losses {
		if err := s.check(disk.Crash(loss), ledgers, durable, sound); err != nil {
			return fmt.Errorf("after a loss of power (%+v): %w", loss, err)
		}
	}
	if a == errorAlways {
		l.fault.Clear()
		l.fault.Inject(vfs.Rule{Op: vfs.OpChange, Err: errDisk})
		if _, _, err := reopen(l.fault, ledgers, durable); errors.Is(err, errLost) {
			return fmt.Errorf("on the same disk: %w", err)
		}
	}
	if err := s.check(disk, ledgers, durable, sound); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	if err := s.check(disk.Crash(vfs.Loss{Rand: rng}), ledgers, durable, sound); err != nil {
		return fmt.Errorf("after a loss of power that follows: %w", err)
	}
	return nil
}

func (s *tally) check(disk *vfs.Mem, ledgers []*ledger, durable wal.LSN, sound bool) error {
	began := time.Now()
	report, _, err := reopen(disk, ledgers, durable)
	took := time.Since(began)
	s.mu.Lock()
	s.recoveries = append(s.recoveries, took)
	if len(report.Failed) > 0 {
		s.failed++
	}
	s.mu.Unlock()
	if err == nil && (report.Corrupt || sound && len(report.Failed) > 0) {
		err = fmt.Errorf("%w: recovery reports %+v %s", errLost, report, whyFailed(disk, report))
	}
	return err
}

// print prints the line that the table of goals is made of; the times are of
// recoveries.
func (s *tally) print(t *testing.T) {
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	slices.Sort(s.recoveries)
	quantile := func(q float64) float64 {
		if len(s.recoveries) == 0 {
			return math.NaN()
		}
		return float64(s.recoveries[int(q*float64(len(s.recoveries)-1))].Microseconds()) / 1000
	}
	line, err := json.Marshal(struct {
		Goal       int     `json:"goal"`
		Trials     int     `json:"trials"`
		Acked      int64   `json:"acked"`
		Lost       int     `json:"lost"`
		Dup        int     `json:"dup"`
		Violations int     `json:"violations"`
		Void       int     `json:"void"`
		P50        float64 `json:"p50_ms"`
		P99        float64 `json:"p99_ms"`
		Seed       uint64  `json:"seed"`
		Commit     string  `json:"commit"`
		Operations int64   `json:"operations"`
		Lives      int     `json:"lives"`
		Recoveries int     `json:"recoveries"`
		Died       int     `json:"process_gave_up"`
		Failed     int     `json:"recoveries_with_failed_replicas"`
	}{
		7, s.trials, s.acked, s.lost, s.dup, s.violations, s.void, quantile(0.5), quantile(0.99), s.seed, commit,
		s.ops, len(s.chapters), len(s.recoveries), s.died, s.failed,
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}
