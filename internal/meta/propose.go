package meta

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Propose puts a command into the log and waits until it is applied here. It
// succeeds on the leader only: the error is [ErrNotLeader] or [ErrBusy] if the
// command was certainly not proposed, and [ErrUnknownOutcome] if it may be
// applied yet. Never call it while holding a lock.
func (r *Raft) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	data, err := cluster.Encode(cmd)
	if err != nil {
		return cluster.Result{}, err
	}
	var res cluster.Result
	err = r.await(ctx, func(m *raft.Raft) error {
		future := m.Apply(data, r.o.ProposeTimeout)
		if err := future.Error(); err != nil {
			return err
		}
		var ok bool
		if res, ok = future.Response().(cluster.Result); !ok {
			return fmt.Errorf("state machine answered %T: %w", future.Response(), ErrStuck)
		}
		return nil
	})
	if err != nil {
		return cluster.Result{}, fmt.Errorf("propose %T: %w", cmd, err)
	}
	return res, nil
}

// Barrier waits until everything that was committed before is applied here. It
// succeeds on the leader only.
func (r *Raft) Barrier(ctx context.Context) error {
	err := r.await(ctx, func(m *raft.Raft) error { return m.Barrier(r.o.ProposeTimeout).Error() })
	if err != nil {
		return fmt.Errorf("metadata barrier: %w", err)
	}
	return nil
}

// await runs ask, which may block for as long as there is no majority, in a
// goroutine of its own and returns when it has or when time is up. Run waits
// for the goroutine: raft answers everything when it shuts down.
func (r *Raft) await(ctx context.Context, ask func(*raft.Raft) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.ProposeTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
	default:
		return ErrBusy
	}
	answer := make(chan error, 1)
	if !r.start(func(m *raft.Raft) {
		defer func() { <-r.slots }()
		answer <- ask(m)
	}) {
		<-r.slots
		return ErrNotLeader
	}
	select {
	case err := <-answer:
		return translate(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

// start runs fn in a goroutine that Run waits for. It reports false if Run is
// not up.
func (r *Raft) start(fn func(*raft.Raft)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.raft
	if m == nil {
		return false
	}
	r.waiting.Go(func() { fn(m) })
	return true
}

// translate says what raft's errors mean for the command.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	default:
		// Deposed, shut down or anything else while it was under way: another
		// member may hold the entry and commit it yet.
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}
