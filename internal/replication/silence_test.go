package replication

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// silent is what a broker says of the others, as "leaders | followers".
func (b *broker) silent(after time.Duration) string {
	leaders, followers := b.Silent(time.Now(), after)
	ids := func(list []Silence) (ids []cluster.BrokerID) {
		for _, s := range list {
			ids = append(ids, s.Broker)
		}
		return ids
	}
	return fmt.Sprint(ids(leaders), "|", ids(followers))
}

// TestSilence cuts links of three brokers, of which 1 leads for 2 and 3, and 2
// leads nothing.
func TestSilence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cut  func(c *brokers)
		want [3]string
	}{
		{name: "all is well", cut: func(*brokers) {}, want: [3]string{"[]|[]", "[]|[]", "[]|[]"}},
		{name: "leader and one follower", cut: func(c *brokers) {
			c.net.Cut("b1", "b2")
			c.net.Cut("b2", "b1")
		}, want: [3]string{"[]|[2]", "[1]|[]", "[]|[]"}},
		{name: "leader to follower", cut: func(c *brokers) { c.net.Cut("b1", "b2") }, want: [3]string{"[]|[2]", "[1]|[]", "[]|[]"}},
		{name: "follower to leader", cut: func(c *brokers) { c.net.Cut("b2", "b1") }, want: [3]string{"[]|[2]", "[]|[]", "[]|[]"}},
		{name: "the followers", cut: func(c *brokers) {
			c.net.Cut("b2", "b3")
			c.net.Cut("b3", "b2")
		}, want: [3]string{"[]|[]", "[]|[]", "[]|[]"}},
		{name: "the leader is gone", cut: func(c *brokers) {
			c.net.Crash("b1")
			c.stop(1)
		}, want: [3]string{"", "[1]|[]", "[1]|[]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 3, func(c *brokers) {
				c.topic(3, 1, 2, 3)
				for _, id := range []cluster.BrokerID{1, 2, 3} {
					c.start(id)
				}
				c.publish()
				c.running[1].produce(0, 1, 100)
				c.committed(time.Second, 0, 1, 1, 2, 3)
				idle(5 * time.Second)
				tt.cut(c)
				idle(3600 * time.Millisecond) // before the leader gives the connection up
				for i, want := range tt.want {
					b := c.running[cluster.BrokerID(i+1)]
					if b == nil {
						continue
					}
					if got := b.silent(3 * time.Second); got != want {
						t.Errorf("broker %d does not hear %s, want %s", i+1, got, want)
					}
					if got := b.silent(4 * time.Second); got != "[]|[]" {
						t.Errorf("broker %d has not heard %s for too long", i+1, got)
					}
				}
			})
		})
	}
}

// TestAFullFollowerHearsItsLeader: a follower that waits for room of its own does
// not say that its leader is silent, though it reads nothing; once it reads again,
// it does.
func TestAFullFollowerHearsItsLeader(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(c *brokers) {
		c.topic(1, 1, 2, 3)
		for _, id := range []cluster.BrokerID{1, 2, 3} {
			c.start(id)
		}
		c.publish()
		c.running[1].produce(0, 1, 100)
		c.committed(time.Second, 0, 1, 1, 2, 3)
		full := c.tables[2]
		room := make(chan struct{})
		full.mu.Lock()
		full.room = room
		full.mu.Unlock()
		c.running[1].produce(0, 1, 100)
		idle(3600 * time.Millisecond)
		if leader, follower := c.running[1].silent(time.Second), c.running[2].silent(time.Second); leader != "[]|[]" || follower != "[]|[]" {
			t.Errorf("the leader does not hear %s, the follower %s, want nobody", leader, follower)
		}
		c.net.Crash("b1")
		c.stop(1)
		close(room)
		idle(3600 * time.Millisecond)
		if got := c.running[2].silent(3 * time.Second); got != "[1]|[]" {
			t.Errorf("does not hear %s, want the leader that is gone", got)
		}
	})
}

// TestAFullFollowerKeepsItsLane: however long a follower waits for room for what some
// partitions send, and that is more than the connection takes, the others keep their
// sessions, and the wait is no round trip.
func TestAFullFollowerKeepsItsLane(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		const partitions, each = 9, 40
		c.topic(partitions, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		for p := range int32(partitions) {
			c.running[1].produce(p, 1, 100)
			c.committed(time.Second, p, 1, 1, 2)
		}
		idle(time.Second) // pings were answered
		full := c.tables[2]
		room := make(chan struct{})
		full.mu.Lock()
		full.room = room
		full.mu.Unlock()
		for range each {
			for p := range int32(partitions - 1) {
				c.running[1].produce(p, 1, 32<<10)
			}
		}
		idle(15 * time.Second)
		link := c.running[1].Links()[0]
		if link.Reconnects != 0 {
			t.Errorf("%d reconnects, want none: %s", link.Reconnects, link.LastError)
		}
		if rtt := link.RTTP99Micros; rtt == nil {
			t.Error("no round trip is known")
		} else if *rtt > 100_000 {
			t.Errorf("a round trip of %d us, want a usual one", *rtt)
		}
		c.look(2, partitions-1, func(l *fakeLog) {
			if l.follow.id == 0 {
				t.Error("the partition that has nothing to do with it has no session")
			}
		})
		close(room)
		c.committed(5*time.Second, 0, 1+each, 1, 2)
	})
}

// TestSilenceFitsAHeartbeat: ten thousand partitions make no more of it.
func TestSilenceFitsAHeartbeat(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(c *brokers) {
		c.topic(10_000, 1, 2, 3)
		c.start(2)
		c.publish()
		idle(10 * time.Second)
		if got := c.running[2].silent(time.Second); got != "[1]|[]" {
			t.Errorf("does not hear %s, want the leader, once", got)
		}
	})
}

// pause lets virtual time pass.
func idle(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}
