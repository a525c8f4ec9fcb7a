package replication

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{min: 20 * time.Millisecond, max: time.Second}
	low := func(int64) int64 { return 0 }
	high := func(n int64) int64 { return n - 1 }
	for i, want := range []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000, 1000} {
		want *= time.Millisecond
		random := low
		if i%2 == 1 {
			random = high
		}
		got := b.next(random)
		if lowest := want / 2; i%2 == 0 && got != lowest || i%2 == 1 && got != want {
			t.Errorf("wait %d = %v, want between %v and %v", i, got, lowest, want)
		}
	}
	b.failures = 1000
	if got := b.next(high); got != time.Second {
		t.Errorf("after a thousand failures: %v", got)
	}
	b.reset()
	if got := b.next(high); got != 20*time.Millisecond {
		t.Errorf("after a reset: %v", got)
	}
}

// TestRedialFollowsMetadata: a link without an address waits for one, and
// follows the broker to another.
func TestRedialFollowsMetadata(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.publish()
		c.running[1].produce(0, 1, 100)
		time.Sleep(30 * time.Second)
		if links := c.running[1].Links(); links[0].State != linkConnecting || links[0].LastError == "" {
			t.Errorf("link = %+v", links[0])
		}
		c.start(2)
		c.publish(2)
		c.register(2) // as a new process would: no Hello reached broker 1
		c.publish()
		if took := c.committed(time.Second, 0, 1, 1, 2); took > 50*time.Millisecond {
			t.Errorf("committed %v after the metadata changed", took)
		}
	})
}

// TestKicksDoNotSpin: a broker that is heard of all the time is not dialled all
// the time.
func TestKicksDoNotSpin(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		var dials atomic.Int64
		c.topic(1, 1, 2)
		b := c.start(1)
		dial := b.dial
		b.dial = func(ctx context.Context, ln lane, to cluster.BrokerID, addr string) (net.Conn, cluster.UUID, error) {
			dials.Add(1)
			return dial(ctx, ln, to, addr)
		}
		c.publish()
		for range 1000 {
			b.PeerHello(2)
			time.Sleep(time.Millisecond)
		}
		if n := dials.Load(); n < 20 || n > 110 {
			t.Errorf("%d dials in one second", n)
		}
		var reason string
		c.look(1, 0, func(l *fakeLog) { reason = l.follower(2).reason })
		if reason == "" {
			t.Error("no reason is shown for the missing follower")
		}
	})
}
