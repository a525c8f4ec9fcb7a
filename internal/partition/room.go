package partition

import (
	"context"
	"errors"

	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wal"
)

// errLowSpace is why appends are refused while reads go on.
var errLowSpace = errors.New("disk is down to its reserve: free some space, or shorten retention")

// reserve waits for room in memory and in the write-ahead log. Whoever has it
// says with reserved what became of it.
func (t *Table) reserve(ctx context.Context, n int) error {
	if t.lowSpace.Load() {
		return errLowSpace
	}
	if err := t.tails.take(ctx, n); err != nil {
		return err
	}
	if err := t.o.WAL.Reserve(ctx, n); err != nil {
		t.tails.settled(n, false)
		return err
	}
	return nil
}

// reserve is [Table.reserve] for a leader: the wait ends with the leadership. Of a
// broker whose disk gives no room others take it over.
func (r *Replica) reserve(ctx context.Context, n int) error {
	if err := r.t.reserve(atOnce, n); !errors.Is(err, context.Canceled) { //nolint:contextcheck // it does not wait
		return err
	}
	r.mu.Lock()
	lead := r.lead
	r.mu.Unlock()
	if lead == nil {
		return context.Canceled
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(lead.term, cancel)() //nolint:contextcheck // a second reason to end
	return r.t.reserve(ctx, n)
}

// atOnce is for who does not wait.
var atOnce = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// reserved says whether the n bytes that room was reserved for were appended.
func (t *Table) reserved(n int, spent bool) {
	t.tails.settled(n, spent)
	if !spent {
		t.o.WAL.Unreserve(n)
	}
}

// refused is the error of an append for which there was no room. Whoever leads
// instead comes first: from a broker without room the leadership moves away.
func (r *Replica) refused(err error) error {
	r.mu.Lock()
	_, elsewhere := r.leading("append")
	r.mu.Unlock()
	if elsewhere != nil {
		return elsewhere
	}
	return r.reserveError("append", err)
}

func (r *Replica) reserveError(op string, err error) error {
	cause := ErrStorage
	switch {
	case errors.Is(err, errLowSpace):
		cause = ErrDiskFull
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, wal.ErrFull):
		cause = ErrBusy
	case errors.Is(err, wal.ErrTooLarge):
		cause = record.ErrTooLarge // trying again does not help
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fail(op, cause, err.Error())
}
