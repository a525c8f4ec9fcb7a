package replication

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/status"
)

// TestStartOrders starts three brokers in every order, with pauses that
// backoffs have to bridge: the first commit must not wait for one.
func TestStartOrders(t *testing.T) {
	t.Parallel()
	for _, order := range [][]cluster.BrokerID{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		for _, pause := range []time.Duration{0, 30 * time.Millisecond, 10 * time.Second} {
			t.Run(fmt.Sprintf("%v, %v apart", order, pause), func(t *testing.T) {
				t.Parallel()
				inBubble(t, 3, func(c *brokers) {
					c.topic(3, 1, 2, 3)
					for _, id := range order {
						time.Sleep(pause)
						c.start(id)
						c.publish(id)
						for _, b := range c.running {
							b.PeerHello(id) // of its raft connection
						}
					}
					c.running[1].produce(0, 10, 100)
					if took := c.committed(time.Second, 0, 10, 1, 2, 3); took > 100*time.Millisecond {
						t.Errorf("first commit took %v", took)
					}
					c.same(0, 1, 2, 3)
				})
			})
		}
	}
}

func TestOpenParksUntilMetadataArrives(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{50 * time.Millisecond, 4 * time.Second, 13 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, 2, func(c *brokers) {
				c.topic(2, 1, 2)
				c.start(1)
				c.start(2)
				c.publish(1)
				c.running[1].produce(1, 3, 100)
				time.Sleep(late)
				c.look(1, 1, func(l *fakeLog) {
					if f := l.follower(2); f.state != status.StateParked {
						t.Errorf("while parked: %q (%s), want %q", f.state, f.reason, status.StateParked)
					}
				})
				c.publish(2)
				if took := c.committed(time.Second, 1, 3, 1, 2); took > 10*time.Millisecond {
					t.Errorf("took %v after the metadata arrived", took)
				}
			})
		})
	}
}

func TestLostConnectionIsRedialled(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2)
		for n := range int64(3) {
			time.Sleep(2 * time.Second) // long enough to count as a new failure
			l := c.running[1].link(2, nil)
			l.mu.Lock()
			conn := l.live
			l.mu.Unlock()
			_ = conn.Close()
			c.running[1].produce(0, 1, 100)
			if took := c.committed(time.Second, 0, 4+n, 1, 2); took > 50*time.Millisecond {
				t.Errorf("after loss %d: committed after %v", n, took)
			}
		}
		if links := c.running[1].Links(); links[0].Reconnects != 3 || links[0].State != linkOK {
			t.Errorf("links = %+v", links)
		}
	})
}

// TestSilentLinkIsReplaced cuts the network without closing anything. The
// leader gives the connection up; the follower does not know, and must let the
// new one take the place of the old.
func TestSilentLinkIsReplaced(t *testing.T) {
	t.Parallel()
	for _, cut := range []struct {
		name     string
		from, to cluster.BrokerID
	}{{name: "no data", from: 1, to: 2}, {name: "no acks", from: 2, to: 1}} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 2, func(c *brokers) {
				c.topic(1, 1, 2)
				c.start(1)
				c.start(2)
				c.publish()
				c.running[1].produce(0, 3, 100)
				c.committed(time.Second, 0, 3, 1, 2)
				c.net.Cut(hostName(cut.from), hostName(cut.to))
				c.running[1].produce(0, 3, 100)
				c.wait(10*time.Second, "the leader gives up", func() bool {
					return c.running[1].Links()[0].State == linkConnecting
				})
				c.running[1].produce(0, 3, 100)
				time.Sleep(500 * time.Millisecond)
				c.net.Heal(hostName(cut.from), hostName(cut.to))
				if took := c.committed(5*time.Second, 0, 9, 1, 2); took > 2100*time.Millisecond {
					t.Errorf("committed %v after the network healed", took)
				}
				c.same(0, 1, 2)
				c.look(2, 0, func(l *fakeLog) {
					if l.diverged != 0 {
						t.Errorf("%d frames of the old session were tried", l.diverged)
					}
				})
			})
		})
	}
}

// TestReplicaRemoved: a follower that does not have the partition says so; the
// leader asks again until metadata settles it.
func TestReplicaRemoved(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 1, 100)
		c.committed(time.Second, 0, 1, 1, 2)
		c.tables[2].mu.Lock()
		delete(c.tables[2].logs, tp(0))
		c.tables[2].mu.Unlock()
		c.running[1].produce(0, 1, 100)
		c.wait(time.Second, "told", func() bool {
			var reason string
			c.look(1, 0, func(l *fakeLog) { reason = l.follower(2).reason })
			return strings.Contains(reason, "no such replica")
		})
		// The leader's topic goes too.
		c.do(cluster.DeleteTopic{ID: topicID})
		c.tables[1].mu.Lock()
		delete(c.tables[1].logs, tp(0))
		c.tables[1].mu.Unlock()
		c.publish(1)
		c.wait(time.Second, "detached", func() bool { return len(c.running[1].Links()) == 0 })
	})
}
