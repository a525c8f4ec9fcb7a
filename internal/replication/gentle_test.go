package replication

import (
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestCatchUpIsGentle lets a follower catch up on a disk that it shares with
// another one, which producers wait for.
func TestCatchUpIsGentle(t *testing.T) {
	t.Parallel()
	const (
		batch  = 10_000
		missed = 10_000
	)
	inBubble(t, 3, func(c *brokers) {
		c.topic(1, 1, 2, 3)
		disk := &fakeDisk{bytesPerSecond: 100_000_000}
		for _, id := range []cluster.BrokerID{2, 3} {
			c.tables[id] = newFakeTable(id)
			c.tables[id].fsync, c.tables[id].disk = 5*time.Millisecond, disk
		}
		c.start(1)
		c.publish(1)
		c.look(1, 0, func(l *fakeLog) { l.outside = 3 })
		c.running[1].produce(0, missed, batch)
		c.start(2)
		c.publish(2)
		c.running[1].PeerHello(2)
		c.wait(10*time.Second, "broker 2 has caught up", func() bool { return c.durable(2) == missed })

		// load is 2 MB/s; it returns what one ack in a hundred took longer than.
		load := func(d time.Duration) time.Duration {
			for range d / (5 * time.Millisecond) {
				time.Sleep(5 * time.Millisecond)
				c.running[1].produce(0, 1, batch)
			}
			for _, l := range c.running[1].Links() {
				if l.To == 2 {
					return time.Duration(*l.AckWaitP99) * time.Microsecond
				}
			}
			t.Fatal("no link to broker 2")
			return 0
		}
		before := load(3 * time.Second)
		c.start(3)
		c.publish(3)
		c.running[1].PeerHello(3)
		during := load(time.Second)
		behind := c.durable(1) - c.durable(3)
		if behind < missed/10 {
			t.Fatalf("broker 3 is only %d batches behind: what was measured is not its catching up", behind)
		}
		t.Logf("acks took %s before, %s while broker 3 caught up", before, during)
		if during >= 2*before {
			t.Errorf("acks took %s before, %s while broker 3 caught up, want less than twice", before, during)
		}
		load(6 * time.Second)
		if behind := c.durable(1) - c.durable(3); behind > 10 {
			t.Errorf("broker 3 is still %d batches behind", behind)
		}
	})
}

// TestCatchUpsTakeTurns lets a follower catch up in two partitions, with so little
// on its way that there is room for one at a time.
func TestCatchUpsTakeTurns(t *testing.T) {
	t.Parallel()
	const (
		batch  = 10_000
		missed = 2_000
	)
	inBubble(t, 2, func(c *brokers) {
		c.topic(2, 1, 2)
		c.tables[2] = newFakeTable(2)
		c.tables[2].fsync = 5 * time.Millisecond
		c.start(1)
		c.publish(1)
		for p := range int32(2) {
			c.look(1, p, func(l *fakeLog) { l.outside = 2 })
			c.running[1].produce(p, missed, batch)
		}
		c.start(2)
		c.publish(2)
		c.running[1].PeerHello(2)
		ends := func() (ends [2]int64) {
			for p := range ends {
				c.look(2, int32(p), func(l *fakeLog) { ends[p] = l.durable })
			}
			return ends
		}
		c.wait(10*time.Second, "half of a partition is there", func() bool { return max(ends()[0], ends()[1]) >= missed/2 })
		if got := ends(); min(got[0], got[1]) < missed/4 {
			t.Errorf("of %d batches in each partition the follower has %d: one waits for the other", missed, got)
		}
	})
}

// TestWhoIsWaitedForCatchesUpFast: a follower in the in-sync set has everything on
// its way, from the start.
func TestWhoIsWaitedForCatchesUpFast(t *testing.T) {
	t.Parallel()
	const missed = 4_000
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.tables[2] = newFakeTable(2)
		c.tables[2].fsync = 50 * time.Millisecond
		c.start(1)
		c.publish(1)
		c.running[1].produce(0, missed, 10_000)
		c.start(2)
		c.publish(2)
		c.running[1].PeerHello(2)
		took := c.wait(10*time.Second, "the follower has everything", func() bool { return c.durable(2) == missed })
		if took > time.Second {
			t.Errorf("it took %s, where 8 MiB at a time take half of a second", took)
		}
	})
}

// durable is how far a broker's log of partition 0 is.
func (c *brokers) durable(id cluster.BrokerID) (end int64) {
	c.look(id, 0, func(l *fakeLog) { end = l.durable })
	return end
}
