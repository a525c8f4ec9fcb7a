package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestReplayIsBounded: what a restart may have to replay is bounded, whoever
// appends beyond it waits for a release, and only for that.
func TestReplayIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		o := small(disk)
		o.MaxReplayBytes = 10_000
		l := run(t, o)
		put := func() LSN {
			end, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: make([]byte, 1000)})
			must(t, err)
			return end
		}
		var ends []LSN
		for range 9 {
			must(t, l.Reserve(t.Context(), 1000))
			ends = append(ends, put())
		}
		synctest.Wait() // all is on the disk
		ctx, cancel := context.WithCancel(t.Context())
		granted := make(chan error, 1)
		go func() { granted <- l.Reserve(ctx, 1000) }()
		synctest.Wait()
		time.Sleep(time.Second)
		if stalled := l.Stats().Stalled; stalled != time.Second {
			t.Errorf("stalled for %v, want a second", stalled)
		}
		if len(granted) > 0 || l.Stats().Unreleased != int64(ends[8]) {
			t.Errorf("%d answers with %d bytes to replay, want none", len(granted), l.Stats().Unreleased)
		}
		cancel()
		if err := <-granted; !errors.Is(err, context.Canceled) {
			t.Errorf("reserve: %v", err)
		}
		go func() { granted <- l.Reserve(t.Context(), 1000) }()
		synctest.Wait()
		must(t, l.Release(ends[2]))
		if err := <-granted; err != nil {
			t.Errorf("reserve after a release: %v", err)
		}
		if stalled := l.Stats().Stalled; stalled != 0 {
			t.Errorf("stalled for %v after a release", stalled)
		}
		end := put()
		must(t, l.Release(ends[0])) // less than before says nothing
		if got := l.Stats().Unreleased; got != int64(end-ends[2]) {
			t.Errorf("%d bytes to replay, want %d", got, end-ends[2])
		}
		must(t, l.Release(end))
		must(t, l.Reserve(t.Context(), 11_000)) // any one payload has room then
		l.Unreserve(11_000)
		must(t, l.stop())

		o.MaxReplayBytes = 1000 // what is replayed at the start is behind it
		l = run(t, o)
		must(t, l.Reserve(t.Context(), 2000))
		l.Unreserve(2000)
		must(t, l.stop())
	})
}
