package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chronik-project/chronik/test/faults/history"
)

// Load is producers, consumers and samplers on one topic. It is safe for
// concurrent use.
type Load struct {
	cfg     Config
	history *history.History

	clients atomic.Int32   // ids given out
	renewed atomic.Int64   // producers made anew
	acked   []atomic.Int64 // records, by partition
	ends    []atomic.Int64 // behind the last acknowledged offset, by partition

	run      sync.Once
	finish   sync.Once
	stop     chan struct{} // closed: the producers offer no more
	produced chan struct{} // closed: all that was offered has been answered
	done     chan struct{} // closed: Run returns

	mu    sync.Mutex
	abort context.CancelCauseFunc // guarded by mu; nil before Run
}

// Causes of a load that ended early.
var (
	// ErrRuns says that a load was run twice.
	ErrRuns = errors.New("a load runs once")
	// ErrNotFinished says that not everything was answered and read in time.
	ErrNotFinished = errors.New("not everything was answered and read")
)

// New returns a load that nobody runs yet.
func New(cfg Config) (*Load, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Load{
		cfg: cfg, history: cfg.History,
		acked: make([]atomic.Int64, cfg.Partitions), ends: make([]atomic.Int64, cfg.Partitions),
		stop: make(chan struct{}), produced: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// Run runs the load until Finish has ended it, or ctx ends. When it returns
// everything that it started has ended and is in the history: what was not
// answered by then as unknown.
func (l *Load) Run(ctx context.Context) error {
	err := ErrRuns
	l.run.Do(func() {
		defer close(l.done)
		err = l.runOnce(ctx)
	})
	return err
}

func (l *Load) runOnce(ctx context.Context) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	l.mu.Lock()
	l.abort = abort
	l.mu.Unlock()
	sampling, endSampling := context.WithCancel(ctx)
	defer endSampling()

	samplers := start(sampling, abort, l.samplers())
	consumers := start(ctx, abort, l.consumers())
	producers := start(ctx, abort, l.producers())
	err := producers()
	close(l.produced) // consumers end once they have all of it
	err = errors.Join(err, consumers())
	endSampling()
	return errors.Join(err, samplers())
}

// start runs tasks until they end, and ends all when one fails.
func start(ctx context.Context, abort context.CancelCauseFunc, tasks []func(context.Context) error) (wait func() error) {
	errs := make([]error, len(tasks))
	var running sync.WaitGroup
	for i, task := range tasks {
		running.Go(func() {
			if errs[i] = task(ctx); errs[i] != nil {
				abort(errs[i])
			}
		})
	}
	return func() error {
		running.Wait()
		return errors.Join(errs...)
	}
}

// Finish lets the producers offer no more, waits until all that they had
// offered is answered and every consumer has been handed all that was
// acknowledged, and ends the load. If ctx ends first it ends the load all the
// same; the error says that it did, and what was missing: a consumer that did
// not catch up may have left records unseen.
func (l *Load) Finish(ctx context.Context) error {
	l.finish.Do(func() { close(l.stop) })
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
	}
	missing := "acknowledgements"
	select {
	case <-l.produced:
		missing = "records that consumers still had to read"
	default:
	}
	l.mu.Lock()
	abort := l.abort
	l.mu.Unlock()
	if abort != nil {
		abort(ErrNotFinished)
		<-l.done
	}
	return fmt.Errorf("%w: %s: %w", ErrNotFinished, missing, context.Cause(ctx))
}

// Done is closed when Run returns.
func (l *Load) Done() <-chan struct{} { return l.done }

// Acked returns how many records of each partition have been acknowledged.
func (l *Load) Acked() []int64 {
	counts := make([]int64, len(l.acked))
	for i := range l.acked {
		counts[i] = l.acked[i].Load()
	}
	return counts
}

// Least returns the least of Acked.
func (l *Load) Least() int64 { return slices.Min(l.Acked()) }

// Renewed returns how many idempotent producers could not go on and were made
// anew, as other clients.
func (l *Load) Renewed() int64 { return l.renewed.Load() }

// client returns the id of another session.
func (l *Load) client() int32 { return l.clients.Add(1) }

// answered takes down what became of a send.
func (l *Load) answered(op history.Op) {
	if op.Outcome == history.OK {
		l.acked[op.Partition].Add(1)
		for end := &l.ends[op.Partition]; ; {
			before := end.Load()
			if op.Offset < before || end.CompareAndSwap(before, op.Offset+1) {
				break
			}
		}
	}
	l.history.Add(op)
}
