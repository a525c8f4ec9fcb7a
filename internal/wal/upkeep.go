package wal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// spaceRetryInterval is how often a full disk is tried again if no file is
// released meanwhile.
const spaceRetryInterval = time.Second

// upkeep is the goroutine beside Run: it syncs what async entries wrote, writes
// the witness, recycles released files, and keeps a file ready ahead of need. Its fields
// are owned by run.
type upkeep struct {
	log       *Log
	preparing *preparation
	retryAt   time.Time // zero unless the disk was full
}

// run works until ctx ends or the log fails.
func (u *upkeep) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		more, err := u.step()
		if err != nil {
			return errors.Join(u.log.fail(err), u.abandon())
		}
		if ctx.Err() != nil || u.log.Err() != nil {
			return u.abandon()
		}
		if more {
			continue
		}
		var due <-chan time.Time
		if at := u.nextDue(); !at.IsZero() {
			timer.Reset(time.Until(at))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-u.log.failed:
		case <-u.log.upkeepDue:
		case <-due:
		}
	}
}

// step does the most urgent piece of work, and reports whether there may be
// more.
func (u *upkeep) step() (more bool, err error) {
	if err := u.syncBehind(); err != nil {
		return false, err
	}
	if err := u.witness(); err != nil {
		return false, err
	}
	if released := u.takeReleased(); len(released) > 0 {
		return true, u.log.recycle(released)
	}
	more, err = u.prepare()
	if vfs.IsNoSpace(err) {
		return false, u.diskFull(err)
	}
	return more, err
}

// nextDue is when step has work again although nobody asks, zero if never.
func (u *upkeep) nextDue() (first time.Time) {
	for _, at := range []time.Time{u.syncDue(), u.witnessDue(), u.retryAt} {
		if first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

// syncDue is when async bytes must be synced, zero if there are none.
func (u *upkeep) syncDue() time.Time {
	l := u.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marks.unsyncedSince.IsZero() {
		return time.Time{}
	}
	return l.marks.unsyncedSince.Add(l.o.BackgroundSyncInterval)
}

// syncBehind syncs async bytes when they are due. It opens the file for
// itself: the kernel reports a failed writeback once to each open file, and
// the rounds must not miss theirs because it was reported here.
func (u *upkeep) syncBehind() error {
	if at := u.syncDue(); at.IsZero() || time.Now().Before(at) {
		return nil
	}
	l := u.log
	l.mu.Lock()
	written, path := l.marks.written, l.files.current
	l.mu.Unlock()
	f, err := l.o.FS.OpenWrite(path)
	if err != nil {
		if l.Durable() >= written {
			return nil // left, synced and released meanwhile
		}
		return &Error{Op: "open", File: path, LSN: written, Err: err}
	}
	if err := f.Sync(); err != nil {
		return errors.Join(&Error{Op: "sync", File: path, LSN: written, Err: err}, f.Close())
	}
	l.advance(written)
	return f.Close()
}

// takeReleased takes the files that are no longer needed.
func (u *upkeep) takeReleased() []fileInfo {
	s := &u.log.files
	u.log.mu.Lock()
	defer u.log.mu.Unlock()
	released := s.released
	s.released = nil
	return released
}

// prepare does a step towards the next spare file. If Run waits for one, it
// makes a small one at once.
func (u *upkeep) prepare() (more bool, err error) {
	if time.Now().Before(u.retryAt) {
		return false, nil
	}
	l := u.log
	l.mu.Lock()
	wanted, ready := l.files.wanted, len(l.files.ready)
	l.mu.Unlock()
	switch {
	case ready > 0:
		u.retryAt = time.Time{} // a recycled file has come first, or step would be due for ever
		return false, nil
	case wanted > 0:
		f, err := l.createFile(max(wanted, l.o.FirstFileBytes))
		if err == nil {
			u.published(f)
		}
		return true, err
	case u.preparing == nil:
		u.preparing, err = l.startPreparing(l.o.FileBytes)
		return true, err
	}
	f, done, err := u.preparing.step()
	if done {
		u.preparing = nil
		u.published(f)
	}
	return !done, err
}

func (u *upkeep) published(f fileInfo) {
	if !u.retryAt.IsZero() {
		u.log.o.Logger.Info("write-ahead log has disk space again")
		u.retryAt = time.Time{}
	}
	u.log.publish(f)
}

// diskFull lets appends be refused until there is room. The file that is being
// written is the reserve for those that were admitted before.
func (u *upkeep) diskFull(cause error) error {
	l := u.log
	if u.retryAt.IsZero() {
		l.o.Logger.Warn("no disk space for the next log file", slog.Any("error", cause))
	}
	u.retryAt = time.Now().Add(spaceRetryInterval)
	err := fmt.Errorf("%w: %w", ErrNoSpace, cause)
	l.mu.Lock()
	l.state.noSpace = err
	l.budget.refuse(err)
	notify(l.files.changed)
	l.mu.Unlock()
	return u.abandon()
}

// abandon removes a file that is half prepared.
func (u *upkeep) abandon() error {
	if u.preparing == nil {
		return nil
	}
	p := u.preparing
	u.preparing = nil
	return p.abandon()
}
