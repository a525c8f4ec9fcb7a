package meta

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// store is what raft keeps on disk apart from snapshots; raft-wal is both.
type store interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
}

// guardedStore watches the writes of a store. A leader whose disk hangs would
// keep its office, as its heartbeats need no disk, while nothing is committed;
// and after a failed fsync nobody knows what is on the disk. Both end the
// process, so that another member can take over.
type guardedStore struct {
	store
	// after is how long a write may take.
	after time.Duration
	// fail is called at most once. It must not return to a healthy process.
	fail func(error)
	once sync.Once
	// yieldAfter is how long a write may take before yield is called, with true;
	// and with false when the write has ended after all.
	yieldAfter time.Duration
	yield      func(hangs bool)
	// stored is told of every entry that has been written.
	stored *stored
}

// StoreLog writes one entry.
func (g *guardedStore) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs writes entries.
func (g *guardedStore) StoreLogs(logs []*raft.Log) error {
	err := g.watched("store log entries", func() error { return g.store.StoreLogs(logs) })
	if err == nil && len(logs) > 0 {
		g.stored.upTo(logs[len(logs)-1].Index)
	}
	return err
}

// DeleteRange deletes entries at either end.
func (g *guardedStore) DeleteRange(low, high uint64) error {
	return g.watched("delete log entries", func() error { return g.store.DeleteRange(low, high) })
}

// Set writes a value, such as the vote.
func (g *guardedStore) Set(key, val []byte) error {
	return g.watched("store vote", func() error { return g.store.Set(key, val) })
}

// SetUint64 writes a value, such as the term.
func (g *guardedStore) SetUint64(key []byte, val uint64) error {
	return g.watched("store term", func() error { return g.store.SetUint64(key, val) })
}

// watched runs a write and reports if it fails or does not end.
func (g *guardedStore) watched(what string, write func() error) error {
	settled := g.late(g.after, func() {
		g.report(fmt.Errorf("%s: the disk has not done it after %s: %w", what, g.after, ErrStuck))
	})
	calm := func() bool { return false }
	if g.yield != nil {
		calm = g.late(g.yieldAfter, func() { g.yield(true) })
	}
	err := write()
	if calm() {
		g.yield(false)
	}
	settled()
	if err != nil {
		g.report(fmt.Errorf("%s: %w: %w", what, err, ErrStuck))
	}
	return err
}

// late calls fn after d unless the returned function is called before. That one
// waits for fn, and reports whether it was called. Time in which the process did
// not run, as it was frozen, does not count: the disk may well have been done.
func (g *guardedStore) late(d time.Duration, fn func()) (stop func() bool) {
	l := &lateness{fn: fn, every: d / lateSteps, left: lateSteps, called: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.every, l.step)
	return l.stop
}

// lateSteps is how many steps a time is counted in. A freeze costs one of them.
const lateSteps = 10

// lateness counts down to a call, in running time.
type lateness struct {
	fn     func()
	every  time.Duration
	called chan struct{} // closed when fn has returned

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu
	left    int         // guarded by mu; steps before fn is called
	stopped bool        // guarded by mu
}

func (l *lateness) step() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.left--
	due := l.left == 0
	if !due {
		l.timer.Reset(l.every)
	}
	l.mu.Unlock()
	if due {
		defer close(l.called)
		l.fn()
	}
}

// stop ends the count, and reports whether it had come to its end.
func (l *lateness) stop() bool {
	l.mu.Lock()
	l.stopped = true
	l.timer.Stop()
	over := l.left == 0
	l.mu.Unlock()
	if over {
		<-l.called
	}
	return over
}

// GetLog reads an entry. One that turns out to be damaged ends the process:
// raft would stop in the middle of its work.
func (g *guardedStore) GetLog(index uint64, l *raft.Log) error {
	err := g.store.GetLog(index, l)
	if errors.Is(err, ErrDamaged) {
		g.report(fmt.Errorf("read log entries: %w: %w", err, ErrStuck))
	}
	return err
}

// noter is a store that writes down how far it has come, from time to time.
type noter interface{ note() error }

// note has the store do that, if it does.
func (g *guardedStore) note() error {
	if l, ok := g.store.(noter); ok {
		return g.watched("store the witness", l.note)
	}
	return nil
}

// forgetTerm has the store forget its term.
func (g *guardedStore) forgetTerm() error {
	return g.watched("forget the term", func() error {
		if l, ok := g.store.(*diskLog); ok {
			return l.forgetTerm()
		}
		return g.store.SetUint64(currentTerm, 0)
	})
}

func (g *guardedStore) report(err error) {
	g.once.Do(func() { g.fail(err) })
}
