package replication

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
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

func TestDivergingFollowerIsCut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		leader, follower []cluster.Epoch // of one record each
		leaderStart      int64
		wantLogStart     int64
	}{
		{name: "follower is empty", leader: []cluster.Epoch{0, 0, 1}},
		{name: "follower is behind", leader: []cluster.Epoch{0, 0, 1}, follower: []cluster.Epoch{0}},
		{name: "follower has an unfinished epoch", leader: []cluster.Epoch{0, 0, 2}, follower: []cluster.Epoch{0, 0, 1, 1}},
		{name: "follower ran ahead in the same epoch", leader: []cluster.Epoch{0, 0}, follower: []cluster.Epoch{0, 0, 0, 0}},
		{name: "several epochs apart", leader: []cluster.Epoch{0, 2, 2, 4}, follower: []cluster.Epoch{0, 1, 1, 3, 3}},
		{name: "nothing in common", leader: []cluster.Epoch{2, 2}, follower: []cluster.Epoch{1, 1, 1}},
		{name: "below the leader's log start", leader: []cluster.Epoch{2, 2}, leaderStart: 10, follower: []cluster.Epoch{0, 1}, wantLogStart: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 2, func(c *brokers) {
				c.topic(1, 1, 2)
				c.start(1)
				c.start(2)
				fill := func(id cluster.BrokerID, start int64, epochs []cluster.Epoch) {
					c.look(id, 0, func(l *fakeLog) {
						l.start = start
						for _, e := range epochs {
							l.write(e, 10+int(id))
						}
						l.durable = l.end()
					})
				}
				fill(1, tt.leaderStart, tt.leader)
				fill(2, 0, tt.follower)
				// Records of one epoch have one author.
				c.look(2, 0, func(f *fakeLog) {
					c.tables[1].mu.Lock()
					defer c.tables[1].mu.Unlock()
					for i, b := range c.tables[1].log(tp(0)).batches {
						if tt.leaderStart == 0 && i < len(f.batches) && b.LeaderEpoch() == f.batches[i].LeaderEpoch() {
							f.batches[i] = b
						}
					}
				})
				for range 9 { // into an epoch beyond all of these
					c.elect(2)
					c.elect(1)
				}
				c.publish()
				want := tt.leaderStart + int64(len(tt.leader))
				c.committed(time.Second, 0, want, 1, 2)
				c.running[1].produce(0, 2, 100)
				c.committed(time.Second, 0, want+2, 1, 2)
				c.same(0, 1, 2)
				c.look(2, 0, func(l *fakeLog) {
					if l.diverged != 0 || l.start != tt.wantLogStart {
						t.Errorf("diverging appends: %d, log start %d", l.diverged, l.start)
					}
				})
			})
		})
	}
}

// TestCommittedRecordsAreNotCut: a cut below the follower's high watermark
// means that something is wrong with the leader. It is refused, loudly (R7).
func TestCommittedRecordsAreNotCut(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(1, 1, 2)
		c.start(1)
		c.start(2)
		c.look(2, 0, func(l *fakeLog) {
			l.write(0, 10)
			l.write(0, 10)
			l.durable, l.hw = l.end(), l.end()
		})
		c.publish()
		c.wait(time.Second, "refused", func() bool {
			failed := false
			c.look(1, 0, func(l *fakeLog) { failed = l.follower(2).state == status.StateFailed })
			return failed
		})
		time.Sleep(3 * time.Second)
		c.look(2, 0, func(l *fakeLog) {
			if l.end() != 2 {
				t.Errorf("log end %d: committed records were cut", l.end())
			}
		})
	})
}

// TestGapIsRefused takes a batch away from the follower in the middle of a
// session: the next one must not be appended over the hole (R6).
func TestGapIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(c *brokers) {
		c.topic(2, 1, 2)
		c.start(1)
		c.start(2)
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.running[1].produce(1, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2)
		c.committed(time.Second, 1, 3, 1, 2)
		c.look(2, 0, func(l *fakeLog) {
			l.batches = l.batches[:2]
			l.durable, l.hw = 2, 2
		})
		c.running[1].produce(0, 2, 100)
		c.running[1].produce(1, 2, 100)
		c.committed(time.Second, 0, 5, 1, 2)
		c.committed(time.Second, 1, 5, 1, 2)
		c.same(0, 1, 2)
		c.look(2, 0, func(l *fakeLog) {
			if l.diverged != 1 || l.opened != 2 {
				t.Errorf("%d appends refused, %d sessions; want 1 and 2", l.diverged, l.opened)
			}
		})
		c.look(2, 1, func(l *fakeLog) {
			if l.opened != 1 {
				t.Errorf("the other partition's session was opened %d times", l.opened)
			}
		})
	})
}

// TestLeaderChange moves the lead while the old leader still appends, and while
// it does not know yet: nothing of it may count or stay (R3, R4).
func TestLeaderChange(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(c *brokers) {
		c.topic(1, 1, 2, 3)
		for id := range cluster.BrokerID(3) {
			c.start(id + 1)
		}
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2, 3)

		c.elect(2)
		c.publish(2, 3) // not 1
		c.running[1].produce(0, 4, 50)
		c.running[2].produce(0, 2, 60)
		c.wait(5*time.Second, "the old leader is told", func() bool {
			var lead bool
			c.look(1, 0, func(l *fakeLog) { lead = l.leading })
			return !lead
		})
		c.publish(1)
		c.committed(5*time.Second, 0, 5, 1, 2, 3)
		c.running[2].produce(0, 2, 60)
		c.committed(time.Second, 0, 7, 1, 2, 3)
		c.same(0, 2, 1, 3)
	})
}

// TestStaleLeaderIsFenced: broker 3 has met a newer leader; the old one, cut
// off from it and from the metadata, must not get a session.
func TestStaleLeaderIsFenced(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(c *brokers) {
		c.topic(1, 1, 2, 3)
		for id := range cluster.BrokerID(3) {
			c.start(id + 1)
		}
		c.publish()
		c.running[1].produce(0, 3, 100)
		c.committed(time.Second, 0, 3, 1, 2, 3)
		for _, end := range [][2]string{{"b1", "b2"}, {"b2", "b1"}} {
			c.net.Cut(end[0], end[1])
		}
		c.elect(2)
		c.publish(2, 3)
		c.running[1].produce(0, 4, 50)
		c.wait(10*time.Second, "fenced by 3", func() bool {
			var reason string
			c.look(1, 0, func(l *fakeLog) { reason = l.follower(3).reason })
			return strings.Contains(reason, "newer epoch 1")
		})
		c.running[2].produce(0, 2, 60)
		time.Sleep(time.Second)
		c.look(3, 0, func(l *fakeLog) {
			if l.end() != 5 {
				t.Errorf("follower's log ends at %d, want 5", l.end())
			}
		})
		c.look(1, 0, func(l *fakeLog) {
			if l.hw != 3 {
				t.Errorf("the fenced leader's high watermark is %d, want 3", l.hw)
			}
		})
	})
}

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
		inflight := l.inflight
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
			return l.inflight == [laneCount]int{}
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
	})
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

func TestErrCodesAreTotal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want errCode
	}{
		{partition.ErrDiverged, errCodeDiverged},
		{partition.ErrStorage, errCodeStorage},
		{partition.ErrStaleSession, errCodeStale},
		{partition.ErrFencedEpoch, errCodeStale},
		{partition.ErrRemoved, errCodeStale},
		{partition.ErrNotReady, errCodeWait},
		{partition.ErrTruncateCommitted, errCodeCommitted},
		{errors.New("anything else"), errCodeInternal},
	}
	for _, tt := range tests {
		if got := errCodeFor(fmt.Errorf("wrapped: %w", tt.err)); got != tt.want {
			t.Errorf("%v: code %d, want %d", tt.err, got, tt.want)
		}
	}
}
