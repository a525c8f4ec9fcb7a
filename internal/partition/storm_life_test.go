package partition

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// storm is a broker between two lives: a disk, the metadata and what the logs
// were. It can be copied, so that one life can be lived again and again with
// another accident each time.
type storm struct {
	disk    *vfs.Mem
	img     *cluster.Image
	index   uint64
	ledgers []*ledger
	removed []*ledger // topics that were deleted in this life
	session uint64
}

func (s *storm) clone() *storm {
	c := *s
	c.disk = s.disk.Crash(vfs.Loss{})
	c.ledgers = nil
	for _, l := range s.ledgers {
		copied := *l
		copied.states = slices.Clone(l.states)
		c.ledgers = append(c.ledgers, &copied)
	}
	return &c
}

// life is a process on that disk.
type life struct {
	*storm
	rng   *rand.Rand
	fault *vfs.Fault
	log   *wal.Log
	table *Table
	end   func()
	dead  error // why the process gave up
	acked int   // batches
	wait  []promise

	mu      sync.Mutex
	heard   []hearing       // guarded by mu; what followers confirm
	dropped map[string]bool // guarded by mu; files of which a sync failed
	wrong   error           // guarded by mu; what must not happen did
	hit     string          // guarded by mu; path of the first operation that was made to fail
}

// promise is an append whose outcome is not known yet.
type promise struct {
	pending *Pending
	ledger  *ledger
	lsn     wal.LSN
}

type hearing struct {
	tp  cluster.TopicPartition
	end int64
}

// begin starts a process. An error is one of recovery.
func (s *storm) begin(rng *rand.Rand, fault *vfs.Fault) (*life, error) {
	l := &life{storm: s, rng: rng, fault: fault, dropped: map[string]bool{}}
	fault.Watch(l.watch)
	var err error
	var report RecoveryReport
	l.log, l.table, report, err = openTable(fault)
	if err != nil {
		return l, err
	}
	if len(report.Failed) > 0 && l.hit == "" {
		return l, fmt.Errorf("%w: failed replicas %v", errLost, report.Failed)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.log.Run(ctx)
	}()
	l.end = func() { cancel(); <-done }
	l.register(report.Failed)
	return l, nil
}

// watch sees every operation. A sync that failed must never be tried again on
// the same file: the kernel has forgotten what it did not write.
func (l *life) watch(op vfs.Op, path string, failed error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed != nil && l.hit == "" {
		l.hit = path
	}
	switch {
	case op == vfs.OpCreate || op == vfs.OpRemove || op == vfs.OpRename:
		delete(l.dropped, path)
	case op == vfs.OpSync && l.dropped[path]:
		l.blame(fmt.Errorf("synced %s again after that had failed", path))
	case op == vfs.OpSync && failed != nil && !errors.Is(failed, vfs.ErrStopped):
		l.dropped[path] = true
	}
}

// blame keeps the first thing that went wrong. REQUIRES: l.mu is held.
func (l *life) blame(err error) {
	if l.wrong == nil {
		l.wrong = err
	}
}

func (l *life) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blame(fmt.Errorf(format, args...))
}

// Ack implements [AckSink].
func (l *life) Ack(tp cluster.TopicPartition, _ uint64, durableEnd, _ int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, hearing{tp, durableEnd})
}

// commit adds to the metadata and shows it to the broker.
func (l *life) commit(cmd cluster.Command) cluster.Result {
	l.index++
	img, res := cluster.Apply(l.img, l.index, cmd)
	if err := errors.Join(append(res.Errs, res.Err)...); err != nil {
		l.violation("%T: %w", cmd, err)
		return res
	}
	l.img = img
	l.table.Apply(img)
	for _, r := range l.table.Replicas() {
		if r.log != nil {
			r.log.SetSegmentBytes(5000)
		}
	}
	return res
}

// register announces this process.
func (l *life) register(failed []cluster.TopicPartition) {
	l.table.o.Incarnation = cluster.UUID{1, byte(l.index), byte(l.index >> 8), byte(l.index >> 16)}
	res := l.commit(cluster.RegisterBroker{
		Broker: cluster.Broker{ID: 1, Incarnation: l.table.o.Incarnation, Directory: cluster.UUID{1}}, FailedReplicas: failed,
	})
	l.commit(cluster.UnfenceBroker{ID: 1, Epoch: res.BrokerEpoch})
}

// settle lets the process come to rest and compares what it has confirmed with
// what the write-ahead log has synced.
func (l *life) settle() {
	synctest.Wait()
	durable := l.log.Durable()
	l.wait = slices.DeleteFunc(l.wait, func(p promise) bool {
		select {
		case <-p.pending.Done():
		default:
			return false
		}
		if p.pending.Err() == nil {
			l.acked++
			if !p.ledger.async && p.lsn > durable {
				l.violation("%s: acknowledged up to lsn %d, durable up to %d, log error %v", p.ledger.tp, p.lsn, durable, l.log.Err())
			}
		}
		return true
	})
	l.mu.Lock()
	heard := l.heard
	l.heard = nil
	l.mu.Unlock()
	for _, h := range heard {
		l.acked++
		ledger := l.ledger(h.tp)
		if ledger == nil || ledger.async {
			continue
		}
		covered := slices.ContainsFunc(ledger.states[:ledger.durable(durable)+1], func(s logState) bool { return s.end >= h.end })
		if !covered {
			l.violation("%s: confirmed up to %d, durable up to lsn %d", h.tp, h.end, durable)
		}
	}
	if err := l.log.Err(); err != nil && l.dead == nil {
		l.dead = err
	}
}

func (l *life) ledger(tp cluster.TopicPartition) *ledger {
	for _, one := range l.ledgers {
		if one.tp == tp {
			return one
		}
	}
	return nil
}

// kill ends the process between two operations on the disk.
func (l *life) kill() (durable wal.LSN) {
	synctest.Wait()
	durable = l.log.Durable()
	l.fault.StopAfter(0)
	l.end()
	return durable
}

// stop ends it in good order.
func (l *life) stop() (durable wal.LSN) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.table.finalCheckpoint(ctx); err != nil {
		l.violation("final checkpoint: %w", err)
	}
	l.end()
	return l.log.Durable()
}

// patiently runs what waits for the disk. If it does not end the disk gets
// better; after that it must.
func (l *life) patiently(what string, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for _, last := range []bool{false, true} {
		timer := time.NewTimer(20 * time.Second)
		select {
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
			if last {
				l.violation("%s hangs on a healthy disk", what)
			}
			l.fault.Clear()
		}
	}
	<-done
}

// gaveUp notes an error that ends the process. A full disk does not.
func (l *life) gaveUp(err error) {
	if err != nil && !noSpace(err) && !errors.Is(err, context.DeadlineExceeded) && l.dead == nil {
		l.dead = err
	}
}

func inLog(path string) bool { return strings.HasPrefix(path, "data/wal") }
