package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
)

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

func TestErrCodesAreTotal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want errCode
	}{
		{partition.ErrDiverged, errCodeDiverged},
		{partition.ErrStorage, errCodeStorage},
		{partition.ErrDiskFull, errCodeDiskFull},
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
