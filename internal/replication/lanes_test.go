package replication

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
)

// TestCatchUpWhileAppending lets a follower catch up on the bulk lane under
// load: it must end on the live lane, without a gap, and without holding up
// another partition of the link.
func TestCatchUpWhileAppending(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.tune = func(o *Options) {
			o.LiveWindowBytes, o.BulkWindowBytes = 16<<10, 128<<10
			o.LiveLinkBytes, o.BulkLinkBytes = 64<<10, 256<<10
		}
		c.net.SetLatency("b1", "b2", time.Millisecond)
		c.net.SetLatency("b2", "b1", time.Millisecond)
		c.topic(2, 1, 2)
		c.start(1)
		c.publish(1)
		c.running[1].produce(0, 2000, 1000)
		c.start(2)
		c.publish(2)
		c.running[1].PeerHello(2)
		c.running[1].produce(1, 1, 100)
		c.committed(time.Second, 1, 1, 1, 2)
		for range 200 {
			time.Sleep(100 * time.Microsecond)
			c.running[1].produce(0, 2, 1000)
			c.running[1].produce(1, 1, 100)
		}
		c.committed(10*time.Second, 0, 2400, 1, 2)
		c.committed(10*time.Second, 1, 201, 1, 2)
		c.same(0, 1, 2)
		c.same(1, 1, 2)
		c.look(2, 0, func(l *fakeLog) {
			if l.diverged != 0 || l.opened != 1 {
				t.Errorf("%d appends refused, %d sessions", l.diverged, l.opened)
			}
		})
		c.look(1, 0, func(l *fakeLog) {
			if lanes := l.follower(2).lanes; len(lanes) < 2 || lanes[0] || !lanes[len(lanes)-1] {
				t.Errorf("lanes = %v, want bulk first and live last", lanes)
			}
		})
		c.look(1, 1, func(l *fakeLog) {
			if lanes := l.follower(2).lanes; slices.Contains(lanes, false) {
				t.Errorf("lanes of the partition that was never behind = %v", lanes)
			}
		})
		// The bulk lane has nothing to do any more, and is not taken for stuck.
		time.Sleep(15 * time.Second)
		if links := c.running[1].Links(); strings.Contains(links[0].LastError, "acknowledged") {
			t.Errorf("after 15 s: %+v", links[0])
		}
		time.Sleep(11 * time.Minute)
		if links := c.running[1].Links(); links[0].LastError != "" || links[0].State != linkOK {
			t.Errorf("after a while: %+v", links[0])
		}
	})
}

// TestSlowFollowerCostsNoMemory hangs the follower's disk: what was sent and
// not synced stays within the windows, and nothing is lost.
func TestSlowFollowerCostsNoMemory(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		const window = 64 << 10
		c.tune = func(o *Options) {
			o.LiveWindowBytes, o.BulkWindowBytes, o.LiveLinkBytes, o.BulkLinkBytes = window, 2*window, window, 2*window
		}
		c.topic(2, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.running[1].produce(1, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2)
		c.committed(time.Second, 1, 3, 1, 2)
		setStuck := func(stuck bool) {
			c.tables[2].mu.Lock()
			c.tables[2].stuck = stuck
			c.tables[2].mu.Unlock()
			signal(c.tables[2].dirty)
		}
		setStuck(true)
		for range 10 {
			c.running[1].produce(0, 50, 1000)
			c.running[1].produce(1, 50, 1000)
			time.Sleep(100 * time.Millisecond)
		}
		l := c.running[1].link(2, nil)
		l.mu.Lock()
		inflight := l.credit.inflight
		l.mu.Unlock()
		const frame = 2000 // one batch may cross a window
		if inflight[laneLive] > window+frame || inflight[laneBulk] > 2*window+frame || inflight[laneLive] == 0 {
			t.Errorf("in flight: %v", inflight)
		}
		for p := range int32(2) {
			c.look(2, p, func(l *fakeLog) {
				unsynced := 0
				for _, b := range l.batches {
					if b.BaseOffset() >= l.durable {
						unsynced += len(b)
					}
				}
				if unsynced > 3*window+2*frame {
					t.Errorf("partition %d: %d bytes wait for the follower's disk", p, unsynced)
				}
			})
		}
		setStuck(false)
		c.committed(10*time.Second, 0, 503, 1, 2)
		c.committed(10*time.Second, 1, 503, 1, 2)
		c.same(0, 1, 2)
		c.wait(time.Second, "credit returns", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.credit.inflight == [laneCount]int{}
		})
	})
}

// TestBulkLaneLost cuts the bulk connection in the middle of a catch-up: the
// live lane and its sessions stay.
func TestBulkLaneLost(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.tune = func(o *Options) {
			o.LiveWindowBytes, o.BulkWindowBytes = 16<<10, 64<<10
			o.BulkBytesPerSecond = 1 << 20
		}
		c.topic(2, 1, 2)
		c.start(1)
		c.publish(1)
		c.running[1].produce(0, 2000, 1000)
		c.start(2)
		c.publish(2)
		c.running[1].PeerHello(2)
		c.wait(5*time.Second, "catching up", func() bool {
			some := false
			c.look(2, 0, func(l *fakeLog) { some = l.end() > 200 })
			return some
		})
		c.tables[2].mu.Lock()
		c.tables[2].log(tp(0)).broken = partition.ErrBusy // as if its append was cut short
		c.tables[2].mu.Unlock()
		time.Sleep(200 * time.Millisecond)
		c.tables[2].mu.Lock()
		c.tables[2].log(tp(0)).broken = nil
		c.tables[2].mu.Unlock()
		c.running[1].produce(1, 1, 100)
		c.committed(100*time.Millisecond, 1, 1, 1, 2)
		c.committed(10*time.Second, 0, 2000, 1, 2)
		c.same(0, 1, 2)
		c.look(2, 1, func(l *fakeLog) {
			if l.opened != 1 {
				t.Errorf("the other session was opened %d times", l.opened)
			}
		})
	})
}

// TestFollowerDiskFails: the follower says so, stays out, and is tried again.
func TestFollowerDiskFails(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		var logged lockedBuffer
		c.tune = func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) }
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2)
		c.look(2, 0, func(l *fakeLog) { l.broken = partition.ErrStorage })
		c.running[1].produce(0, 3, 100)
		c.wait(time.Second, "shown as failed", func() bool {
			failed := false
			c.look(1, 0, func(l *fakeLog) {
				f := l.follower(2)
				failed = f.state == status.StateFailed && strings.Contains(f.reason, partition.ErrStorage.Error())
			})
			return failed
		})
		time.Sleep(10 * time.Second)
		c.look(2, 0, func(l *fakeLog) {
			if l.opened > 20 {
				t.Errorf("opened %d times in 10 s: no backoff", l.opened)
			}
			l.broken = nil
		})
		c.committed(2*time.Second, 0, 6, 1, 2)
		// Both sides say it once, not with every attempt.
		for _, line := range []string{"replication session refused", "replication session ended"} {
			if n := strings.Count(logged.String(), line); n != 1 {
				t.Errorf("%q was logged %d times", line, n)
			}
		}
	})
}

// lockedBuffer is a log that several brokers write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestFollowerWithoutRoom: a follower whose write buffer stays full reads
// nothing, not even pings. The leader replaces the connection now and then; the
// old ones must not pile up behind the buffer.
func TestFollowerWithoutRoom(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 1, 100)
		c.committed(time.Second, 0, 1, 1, 2)
		room := make(chan struct{})
		setRoom := func(room chan struct{}) {
			c.tables[2].mu.Lock()
			defer c.tables[2].mu.Unlock()
			c.tables[2].room = room
		}
		setRoom(room)
		c.running[1].produce(0, 10, 100)
		time.Sleep(30 * time.Second)
		if n := c.tables[2].reserving.Load(); n != 1 {
			t.Errorf("%d appends wait for room", n)
		}
		setRoom(nil)
		close(room)
		c.committed(6*time.Second, 0, 11, 1, 2)
		c.same(0, 1, 2)
	})
}
