package wal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// Log is a write-ahead log. Its methods are safe for concurrent use.
//
// Appends fill one round while Run writes and syncs another; the two take
// turns, so that nothing is allocated in steady state. A goroutine beside Run
// prepares and recycles files and syncs what async entries left behind.
type Log struct {
	o       Options
	pending pendingFiles // what Open found and Replay settles
	hooks   []func()     // set before Run
	cur     openFile     // owned by Run
	meter   meter

	witnessSlot  int64 // the one to write next; owned by Open, then by upkeep
	witnessNamed bool  // its name is on disk; owned by upkeep

	wake      chan struct{} // has room for one: the filling round is not empty
	upkeepDue chan struct{} // has room for one: there is work for upkeep
	failed    chan struct{} // closed when err is set
	stopped   chan struct{} // closed when Run has returned

	mu      sync.Mutex
	filling *round        // guarded by mu
	spare   *round        // guarded by mu
	budget  room          // guarded by mu
	marks   marks         // guarded by mu
	files   fileSet       // guarded by mu
	state   lifecycle     // guarded by mu
	moved   chan struct{} // guarded by mu; closed when marks.durable moves, nil while nobody waits
}

// marks are the positions of the log. Invariant: durable <= written <= end.
type marks struct {
	durable LSN // on disk
	written LSN // given to the kernel
	end     LSN // given to entries
	// unsyncedSince is when the oldest async bytes were written that are not
	// on disk, the zero time if there are none.
	unsyncedSince time.Time
	// unwitnessedSince is when frames became durable that the witness does not
	// cover, the zero time if there are none.
	unwitnessedSince time.Time
}

// lifecycle is what a log will still do.
type lifecycle struct {
	replayed bool
	running  bool
	closed   bool  // no more appends
	appended bool  // since it was opened
	err      error // ErrFailed and its cause
	noSpace  error // why no further file could be created, nil if none is missing
}

// Open finds the files of a log. It writes nothing and starts nothing.
func Open(o Options) (*Log, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	files, temps, err := listFiles(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	witness, slot, err := readWitness(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	return &Log{
		o:         o,
		pending:   pendingFiles{files: files, temps: temps, witness: witness},
		wake:      make(chan struct{}, 1),
		upkeepDue: make(chan struct{}, 1),
		failed:    make(chan struct{}),
		stopped:   make(chan struct{}),
		filling:   newRound(),
		spare:     newRound(),
		budget:    room{limit: o.MaxBufferedBytes, maxLog: o.MaxReplayBytes},
		files:     fileSet{changed: make(chan struct{}, 1)},

		witnessSlot: slot,
	}, nil
}

// AfterRound registers fn, before Run, to be called each time a batch of
// notifications has been made: once per round, twice in one that mixes async
// and synced entries. It must not block.
func (l *Log) AfterRound(fn func()) { l.hooks = append(l.hooks, fn) }

// Durable is the position up to which the log is on disk.
func (l *Log) Durable() LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marks.durable
}

// Begin is the position of the first frame that Open found; ok is false if it
// found none. It is meant for before Replay.
func (l *Log) Begin() (lsn LSN, ok bool) {
	for _, f := range l.pending.files {
		if f.state == headerUsed && (!ok || f.start < lsn) {
			lsn, ok = f.start, true
		}
	}
	return lsn, ok
}

// End is the position at which the next frame goes.
func (l *Log) End() LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marks.end
}

// MaxPayload is the size of the largest payload that a frame can have.
func (l *Log) MaxPayload() int {
	inFile := l.o.FileBytes - fileHeaderBytes - frameHeaderBytes - 8
	return int(min(inFile, int64(l.o.MaxBufferedBytes)))
}

// MaxReplay is how much log may wait for a [Log.Release] before appends do.
func (l *Log) MaxReplay() int64 { return l.o.MaxReplayBytes }

// Err is nil until the log has failed, and then wraps ErrFailed and the cause.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.err
}

// Failed is closed when the log fails.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// fail makes the first failure final (W2) and returns it.
func (l *Log) fail(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.err == nil {
		l.state.err = fmt.Errorf("%w: %w", ErrFailed, cause)
		l.budget.refuse(l.state.err)
		close(l.failed)
	}
	return l.state.err
}

// advance moves the durable mark and wakes those who wait for it.
func (l *Log) advance(durable LSN) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.err != nil {
		return // a sync that succeeds after another failed proves nothing
	}
	if durable > l.marks.durable {
		l.marks.durable = durable
		if l.marks.unwitnessedSince.IsZero() {
			l.marks.unwitnessedSince = time.Now()
			notify(l.upkeepDue)
		}
		if l.moved != nil {
			close(l.moved)
			l.moved = nil
		}
	}
	if l.marks.durable >= l.marks.written {
		l.marks.unsyncedSince = time.Time{}
	}
}

// WaitSynced waits until the log is durable up to lsn.
//
// Errors: ErrFailed, ErrClosed, and that of ctx.
func (l *Log) WaitSynced(ctx context.Context, lsn LSN) error {
	for {
		l.mu.Lock()
		if l.marks.durable >= lsn || l.state.err != nil {
			defer l.mu.Unlock()
			return l.state.err
		}
		if l.moved == nil {
			l.moved = make(chan struct{})
		}
		moved := l.moved
		l.mu.Unlock()
		select {
		case <-moved:
		case <-l.failed:
		case <-l.stopped:
			if l.Durable() < lsn {
				return ErrClosed
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Release lets the files go that lie wholly below upTo, which a checkpoint on
// disk must have passed. They are recycled in the background.
func (l *Log) Release(upTo LSN) error {
	l.mu.Lock()
	released := l.files.release(upTo)
	l.budget.log = min(l.budget.log, int64(l.marks.end-upTo))
	l.budget.free(0)
	err := l.state.err
	l.mu.Unlock()
	if released {
		notify(l.upkeepDue)
	}
	return err
}

// Close closes the files of a log that is not run. After Run it does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	running := l.state.running
	l.state.closed = true
	l.mu.Unlock()
	if running {
		return nil
	}
	return l.cur.close()
}

// notify leaves a token in a channel with room for one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// openFile is the file that rounds are written to.
type openFile struct {
	fileInfo
	f   vfs.File
	off int64 // where the next frame goes
	// started says that the block at the start has been written, announced
	// that it has been synced and the file is in the set.
	started, announced bool
}

func (f *openFile) close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}
