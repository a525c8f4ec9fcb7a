package replication

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

var seedFlag = flag.Uint64("seed", 0, "first seed of TestRandomFaults; 0 draws one")

// TestRandomFaults runs three brokers through random appends, lost
// connections, cut networks, hanging disks, restarts that lose what was not
// synced, and elections that some brokers learn of late. When everything is
// well again, the replicas must be equal, and hold every record that any leader
// has ever counted as committed.
//
// The fakes' high watermark waits for all replicas, so that any of them may be
// elected.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	base := *seedFlag
	if base == 0 {
		base = rand.Uint64()
	}
	for i := range uint64(8) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			seed := base + i
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			})
			inBubble(t, 3, func(c *brokers) {
				f := &faults{brokers: c, rand: rand.New(rand.NewPCG(seed, 2)), committed: map[int64]uint32{}}
				c.tune = func(o *Options) {
					o.LiveWindowBytes, o.BulkWindowBytes = 8<<10, 32<<10
					o.LiveLinkBytes, o.BulkLinkBytes = 12<<10, 48<<10
				}
				c.topic(2, 1, 2, 3)
				for _, id := range f.ids() {
					c.start(id)
				}
				c.publish()
				for range 300 {
					f.step()
					f.note()
				}
				f.recover()
			})
		})
	}
}

type faults struct {
	*brokers
	rand      *rand.Rand
	committed map[int64]uint32 // of partition 0: the CRC of the batch at every committed offset
}

func (f *faults) ids() []cluster.BrokerID { return []cluster.BrokerID{1, 2, 3} }

func (f *faults) any() cluster.BrokerID { return cluster.BrokerID(1 + f.rand.IntN(3)) }

func (f *faults) step() {
	time.Sleep(time.Duration(f.rand.Int64N(int64(20 * time.Millisecond))))
	switch n := f.rand.IntN(100); {
	case n < 60:
		f.append()
	case n < 70:
		f.dropConnection()
	case n < 75:
		f.net.Cut(hostName(f.any()), hostName(f.any()))
	case n < 82:
		for _, a := range f.ids() {
			f.net.Heal(hostName(a), hostName(f.any()))
		}
	case n < 86:
		f.disk(f.any(), true)
	case n < 92:
		f.disk(f.any(), false)
	case n < 94:
		f.restart(f.any())
	case n < 97:
		f.elect(f.any())
		f.publish(f.any())
	case n < 99:
		f.publish(f.any())
	default:
		time.Sleep(5 * time.Second)
	}
}

func (f *faults) append() {
	b := f.running[f.any()]
	for p := range int32(2) {
		leading := false
		f.look(b.id, p, func(l *fakeLog) { leading = l.leading })
		if leading {
			b.produce(p, 1+f.rand.IntN(20), 10+f.rand.IntN(2000))
		}
	}
}

func (f *faults) dropConnection() {
	m, to := f.running[f.any()].Manager, f.any()
	m.mu.Lock()
	l := m.links[to]
	m.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	conn := l.live
	l.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

func (f *faults) disk(id cluster.BrokerID, stuck bool) {
	f.tables[id].mu.Lock()
	f.tables[id].stuck = stuck
	f.tables[id].fsync = time.Duration(f.rand.Int64N(int64(20 * time.Millisecond)))
	f.tables[id].mu.Unlock()
	signal(f.tables[id].dirty)
}

// restart loses what the disk does not have, and passes through a registration
// that ends the broker's leaderships (R1).
func (f *faults) restart(id cluster.BrokerID) {
	f.stop(id)
	for p := range int32(2) {
		f.look(id, p, func(l *fakeLog) {
			for len(l.batches) > 0 && l.end() > l.durable {
				l.batches = l.batches[:len(l.batches)-1]
			}
			l.generation++
			l.hw = f.rand.Int64N(min(l.hw, l.end()) + 1)
			l.leading, l.follow, l.seen = false, fakeSession{}, cluster.NoEpoch
			if n := len(l.batches); n > 0 {
				l.seen = cluster.Epoch(l.batches[n-1].LeaderEpoch())
			}
		})
	}
	f.tables[id].mu.Lock()
	f.tables[id].stuck, f.tables[id].ready = false, false
	f.tables[id].mu.Unlock()
	f.register(id)
	f.start(id)
	for _, b := range f.running {
		b.PeerHello(id)
	}
	if f.rand.IntN(2) == 0 {
		f.publish(id)
	}
}

// note checks what the leaders count as committed against all that was before.
func (f *faults) note() {
	for _, id := range f.ids() {
		f.look(id, 0, func(l *fakeLog) {
			for _, b := range l.batches {
				if !l.leading || b.NextOffset() > l.hw {
					continue
				}
				if was, ok := f.committed[b.BaseOffset()]; ok && was != b.CRC() {
					f.t.Fatalf("offset %d was committed twice, differently", b.BaseOffset())
				}
				f.committed[b.BaseOffset()] = b.CRC()
			}
		})
	}
}

func (f *faults) recover() {
	for _, id := range f.ids() {
		f.disk(id, false)
		for _, to := range f.ids() {
			f.net.Heal(hostName(id), hostName(to))
		}
	}
	leader := f.any()
	if topic, _ := f.image.TopicByID(topicID); topic.Partitions[0].Leader != leader {
		f.elect(leader)
	}
	f.publish()
	time.Sleep(10 * time.Second)
	for p := range int32(2) {
		var leader cluster.BrokerID
		for _, id := range f.ids() {
			f.look(id, p, func(l *fakeLog) {
				if l.leading {
					leader = id
				}
			})
		}
		f.running[leader].produce(p, 3, 100)
		var end int64
		f.look(leader, p, func(l *fakeLog) { end = l.end() })
		f.brokers.committed(10*time.Second, p, end, f.ids()...)
		f.same(p, f.ids()...)
	}
	f.look(1, 0, func(l *fakeLog) {
		for _, b := range l.batches {
			if was, ok := f.committed[b.BaseOffset()]; ok && was != b.CRC() {
				f.t.Errorf("offset %d changed after it was committed", b.BaseOffset())
			}
		}
		for offset := range f.committed {
			if offset >= l.end() {
				f.t.Errorf("offset %d was committed and is gone, log end %d", offset, l.end())
			}
		}
	})
}
