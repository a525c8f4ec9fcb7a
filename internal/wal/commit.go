package wal

import (
	"context"
	"errors"
	"time"
)

// Run writes and syncs rounds until ctx ends; then it writes what is left,
// syncs, closes the files and returns. It returns early, with an error that is
// ErrFailed, after the first write or sync that failed.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	refused := l.refusal()
	l.state.running = refused == nil
	l.mu.Unlock()
	if refused != nil {
		return refused
	}
	// Upkeep outlives ctx: the last rounds may need one more file.
	upkeepCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- (&upkeep{log: l}).run(upkeepCtx) }()
	err := l.commitRounds(ctx)
	stop()
	err = errors.Join(err, <-ended, l.cur.close())
	l.mu.Lock()
	l.state.closed = true
	l.budget.refuse(ErrClosed)
	l.mu.Unlock()
	close(l.stopped)
	return err
}

// commitRounds takes rounds as long as there are some. There is no timer: what
// queues while one round is being synced is the next one.
func (l *Log) commitRounds(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return l.drain(ctx)
		case <-l.failed:
			return l.Err()
		case <-l.wake:
			if err := l.commit(ctx); err != nil {
				return err
			}
		}
	}
}

// drain refuses further appends and writes the last round. It ends with a
// frame that says so, unless nothing was appended since the log was opened.
func (l *Log) drain(ctx context.Context) error {
	l.mu.Lock()
	l.state.closed = true
	l.budget.refuse(ErrClosed)
	if l.state.appended {
		size := frameBytes(0)
		l.filling.add(&Entry{Kind: kindClose}, l.marks.end, size)
		l.marks.end += LSN(size)
	}
	l.mu.Unlock()
	return l.commit(ctx)
}

// commit brings the round that was gathered to disk and tells who waits.
func (l *Log) commit(ctx context.Context) error {
	r := l.takeRound()
	if r == nil {
		return nil
	}
	if err := l.write(ctx, r); err != nil {
		return err
	}
	// A failure in the background ends all promises, also those of bytes that
	// this goroutine wrote without an error.
	if err := l.Err(); err != nil {
		return err
	}
	l.tell(&r.written)
	if r.sync {
		if err := l.syncCurrent(); err != nil {
			return err
		}
		if err := l.Err(); err != nil {
			return err
		}
		l.tell(&r.synced)
	}
	l.meter.round(r)
	l.finish(r)
	return nil
}

// takeRound exchanges the filling round for the spare one.
func (l *Log) takeRound() *round {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.filling
	if len(r.buf) == 0 {
		return nil
	}
	l.filling, l.spare = l.spare, nil
	return r
}

// finish returns a round and its room.
func (l *Log) finish(r *round) {
	payload := r.payload
	r.reset()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = r
	l.budget.free(payload)
}

// tell makes the notifications of one kind, with no lock held.
func (l *Log) tell(s *notes) {
	if len(s.list) == 0 {
		return
	}
	for _, n := range s.list {
		n.notifier.Synced(n.generation, n.end)
	}
	for _, hook := range l.hooks {
		hook()
	}
}

// write writes a round: one write, unless it does not fit into the file.
func (l *Log) write(ctx context.Context, r *round) error {
	p, lsn := r.buf, r.start
	for len(p) > 0 {
		n := sealFrames(p, l.cur.bytes-l.cur.off, seedOf(l.cur.sequence), l.Durable())
		if n == 0 {
			if err := l.nextFile(ctx, lsn, firstFrameBytes(p)); err != nil {
				return err
			}
			continue
		}
		if err := l.writeFrames(p, n, lsn); err != nil {
			return l.fail(err)
		}
		p, lsn = p[n:], lsn+LSN(n)
		l.wrote(lsn, !r.sync)
	}
	return nil
}

// writeFrames writes the first n bytes of p, which are frames, at the end of
// the file, and behind the last of them zeros up to the end of the page.
func (l *Log) writeFrames(p []byte, n int, lsn LSN) error {
	c := &l.cur
	if !c.started {
		if _, err := c.f.WriteAt(encodeFileHeader(c.sequence, c.start), 0); err != nil {
			return &Error{Op: "write", File: c.path, LSN: lsn, Err: err}
		}
		c.started = true
	}
	frames := p[:n]
	if n == len(p) {
		page := (c.off + int64(n) + pageBytes - 1) / pageBytes * pageBytes
		frames = p[:min(page, c.bytes)-c.off]
		clear(frames[n:])
	}
	if _, err := c.f.WriteAt(frames, c.off); err != nil {
		return &Error{Op: "write", File: c.path, LSN: lsn, Err: err}
	}
	c.off += int64(n)
	return nil
}

// wrote moves the written mark, and asks for a sync in the background if the
// round does not bring one itself.
func (l *Log) wrote(lsn LSN, async bool) {
	l.mu.Lock()
	l.marks.written = lsn
	ask := async && l.marks.unsyncedSince.IsZero()
	if ask {
		l.marks.unsyncedSince = time.Now()
	}
	l.mu.Unlock()
	if ask {
		notify(l.upkeepDue)
	}
}

// syncCurrent makes everything written durable: files before the current one
// were synced when they were left.
func (l *Log) syncCurrent() error {
	l.mu.Lock()
	written := l.marks.written
	l.mu.Unlock()
	began := l.meter.syncStarts(l.o.Now())
	err := l.cur.f.Sync()
	l.meter.syncEnds(began, l.o.Now())
	if err != nil {
		return l.fail(&Error{Op: "sync", File: l.cur.path, LSN: written, Err: err})
	}
	l.announce()
	l.advance(written)
	return nil
}

// announce puts the current file into the set once its header is on disk.
func (l *Log) announce() {
	if !l.cur.started || l.cur.announced {
		return
	}
	l.cur.announced = true
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files.used = append(l.files.used, l.cur.fileInfo)
}

// nextFile leaves the current file for one that has room for a frame. All that
// was written is synced first: the header of a file says that everything
// before its start is durable.
func (l *Log) nextFile(ctx context.Context, lsn LSN, frame int64) error {
	if l.cur.started {
		if err := l.syncCurrent(); err != nil {
			return err
		}
	}
	if err := l.cur.close(); err != nil {
		return l.fail(&Error{Op: "close", File: l.cur.path, LSN: lsn, Err: err})
	}
	next, err := l.awaitReady(ctx, frame)
	if err != nil {
		return err
	}
	if err := l.use(next, lsn); err != nil {
		return l.fail(err)
	}
	return nil
}

// awaitReady takes the next prepared file, and has one prepared if there is
// none. While the disk is full it waits, unless ctx has ended.
func (l *Log) awaitReady(ctx context.Context, frame int64) (fileInfo, error) {
	ending := ctx.Done()
	for {
		if f, ok := l.nextReady(frame); ok {
			notify(l.upkeepDue) // another spare
			return f, nil
		}
		l.mu.Lock()
		l.files.wanted = fileHeaderBytes + frame
		noSpace := l.state.noSpace
		l.mu.Unlock()
		if noSpace != nil && ctx.Err() != nil {
			return fileInfo{}, noSpace
		}
		notify(l.upkeepDue)
		select {
		case <-l.files.changed:
		case <-l.failed:
			return fileInfo{}, l.Err()
		case <-ending:
			ending = nil
		}
	}
}
