package replication

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
)

// TestRandomFaultsOnRealReplicas is TestRandomFaults with everything real but
// the controller: what was acknowledged must be on every replica in the end,
// whatever lost power or its network meanwhile.
func TestRandomFaultsOnRealReplicas(t *testing.T) {
	t.Parallel()
	base := *seedFlag
	if base == 0 {
		base = rand.Uint64()
	}
	for i := range uint64(4) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			seed := base + i
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			})
			inRealCluster(t, 3, nil, func(c *realCluster) {
				f := &realFaults{realCluster: c, rand: rand.New(rand.NewPCG(seed, 3))}
				for range 150 {
					f.step()
				}
				f.recover()
			})
		})
	}
}

type realFaults struct {
	*realCluster
	rand    *rand.Rand
	pending []realPending
}

type realPending struct {
	p *partition.Pending
	b record.Batch
}

func (f *realFaults) any() cluster.BrokerID { return cluster.BrokerID(1 + f.rand.IntN(3)) }

func (f *realFaults) runs(id cluster.BrokerID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id] != nil
}

func (f *realFaults) step() {
	time.Sleep(time.Duration(f.rand.Int64N(int64(50 * time.Millisecond))))
	id := f.any()
	switch n := f.rand.IntN(100); {
	case n < 70:
		for range f.rand.IntN(10) {
			if p, b, err := f.append(10 + f.rand.IntN(5000)); err == nil {
				f.pending = append(f.pending, realPending{p, b})
			}
		}
	case n < 78:
		f.net.Cut(hostName(id), hostName(f.any()))
	case n < 88:
		f.heal()
	case n < 92 && f.runs(id):
		f.powerLoss(id)
		if f.rand.IntN(2) == 0 {
			f.fence(id)
		}
	case n < 97 && !f.runs(id):
		f.start(id)
	case n < 99:
		p := f.state()
		f.do(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: tp(0), PartitionEpoch: p.PartitionEpoch, Leader: id}}})
	case n == 99:
		time.Sleep(5 * time.Second)
	}
}

func (f *realFaults) heal() {
	for _, a := range []cluster.BrokerID{1, 2, 3} {
		for _, b := range []cluster.BrokerID{1, 2, 3} {
			f.net.Heal(hostName(a), hostName(b))
		}
	}
}

func (f *realFaults) recover() {
	f.heal()
	for _, id := range []cluster.BrokerID{1, 2, 3} {
		if !f.runs(id) {
			f.start(id)
		}
	}
	for _, p := range f.pending {
		_ = f.await(p.p, p.b) // any outcome; an acknowledgement is a promise
	}
	f.until(90*time.Second, "writable again", func() bool { return f.produce(100) == nil })
	f.converged(90*time.Second, 1, 2, 3)
}
