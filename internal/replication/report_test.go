package replication

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/status"
)

// TestHighWatermarkTravelsWithoutData checks that followers learn of a commit
// within the delay even when nothing is appended after it.
func TestHighWatermarkTravelsWithoutData(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		for n := range int64(5) {
			c.running[1].produce(0, 1, 100)
			if took := c.committed(time.Second, 0, n+1, 1, 2); n > 0 && took > 7*time.Millisecond {
				t.Errorf("record %d committed everywhere after %v", n, took)
			}
		}
	})
}

func TestLinksReport(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(c *brokers) {
		c.net.SetLatency("b1", "b2", 3*time.Millisecond)
		c.net.SetLatency("b2", "b1", 3*time.Millisecond)
		c.tune = func(o *Options) { o.LastFsync = func() time.Duration { return 140 * time.Microsecond } }
		c.topic(4, 1, 2, 3)
		c.start(1)
		c.start(2)
		c.publish()
		for range 100 {
			c.running[1].produce(0, 10, 1000)
			time.Sleep(50 * time.Millisecond)
		}
		links := c.running[1].Links()
		if len(links) != 2 {
			t.Fatalf("%d links", len(links))
		}
		up, down := links[0], links[1]
		if up.From != 1 || up.To != 2 || up.State != linkOK || up.Partitions != 4 || up.LastError != "" {
			t.Errorf("link to 2 = %+v", up)
		}
		if up.RTTP50Micros == nil || *up.RTTP50Micros < 6000 || *up.RTTP50Micros > 6200 || *up.FsyncP99Micros != 140 {
			t.Errorf("round trip %v, fsync %v", up.RTTP50Micros, up.FsyncP99Micros)
		}
		if up.BytesPerSecond < 150_000 || up.BytesPerSecond > 300_000 || up.AckWaitP99 == nil || *up.AckWaitP99 < 6000 {
			t.Errorf("%.0f bytes per second, ack wait %v", up.BytesPerSecond, up.AckWaitP99)
		}
		if down.To != 3 || down.State != linkConnecting || !strings.Contains(down.LastError, "refused") || down.LagRecords != nil || down.InSync != 0 {
			t.Errorf("link to 3 = %+v", down)
		}
		if strings.Count(down.LastError, "b3:9192") != 1 {
			t.Errorf("link to 3 says it again: %s", down.LastError)
		}
		c.look(1, 0, func(l *fakeLog) {
			if f := l.follower(3); f.state != status.StateConnecting || !strings.Contains(f.reason, "refused") {
				t.Errorf("follower 3 shown as %q (%s)", f.state, f.reason)
			}
		})
	})
}

// TestAckRoundsAreShared checks that partitions share acknowledgement frames: a
// round of the follower's disk costs one, however many it covers.
func TestAckRoundsAreShared(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(48, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		for p := range int32(48) {
			c.running[1].produce(p, 1, 100)
		}
		for p := range int32(48) {
			c.committed(time.Second, p, 1, 1, 2)
		}
		frames := func() int {
			c.tables[1].mu.Lock()
			defer c.tables[1].mu.Unlock()
			return c.tables[1].heard[2]
		}
		before := frames()
		for p := range int32(48) {
			c.running[1].produce(p, 1, 100)
		}
		for p := range int32(48) {
			c.committed(time.Second, p, 2, 1, 2)
		}
		if n := frames() - before; n > 5 {
			t.Errorf("%d frames acknowledged one record in each of 48 partitions", n)
		}
	})
}

// TestAcksSpeakOfTheDisk: what arrives while the disk is busy is acknowledged
// as appended with the round that is under way, and as durable with the next.
func TestAcksSpeakOfTheDisk(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 1, 100)
		c.committed(time.Second, 0, 1, 1, 2)
		c.tables[2].mu.Lock()
		c.tables[2].fsync = 50 * time.Millisecond
		c.tables[2].mu.Unlock()
		want := func(after time.Duration, durable, appended, hw int64) {
			time.Sleep(after)
			synctest.Wait()
			c.look(1, 0, func(l *fakeLog) {
				if f := l.follower(2); f.durable != durable || f.appended != appended || l.hw != hw {
					t.Errorf("follower at %d durable, %d appended, high watermark %d; want %d, %d, %d", f.durable, f.appended, l.hw, durable, appended, hw)
				}
			})
		}
		c.running[1].produce(0, 1, 100)
		want(10*time.Millisecond, 1, 1, 1)
		c.running[1].produce(0, 1, 100)
		want(35*time.Millisecond, 1, 1, 1)
		want(10*time.Millisecond, 2, 3, 2)
		want(40*time.Millisecond, 2, 3, 2)
		want(10*time.Millisecond, 3, 3, 3)
	})
}
