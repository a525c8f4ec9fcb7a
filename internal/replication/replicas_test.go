package replication

import (
	"errors"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// TestAcksAllOnRealReplicas appends through every role change that needs no
// fault.
func TestAcksAllOnRealReplicas(t *testing.T) {
	t.Parallel()
	inRealCluster(t, 3, nil, func(c *realCluster) {
		began := time.Now()
		for i := range 50 {
			if err := c.produce(100 + i); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("50 acks took %v", took)
		}
		c.converged(time.Second, 1, 2, 3)
		for _, leader := range []cluster.BrokerID{2, 3, 1} {
			res := c.do(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: tp(0), PartitionEpoch: c.state().PartitionEpoch, Leader: leader}}})
			if res.Errs[0] != nil {
				t.Fatal(res.Errs[0])
			}
			for range 10 {
				if err := c.produce(100); err != nil {
					t.Fatal(err)
				}
			}
			c.converged(time.Second, 1, 2, 3)
		}
	})
}

// TestFollowerLosesPower: acks=all goes on after the grace, and the follower
// comes back into the in-sync set by itself.
func TestFollowerLosesPower(t *testing.T) {
	t.Parallel()
	inRealCluster(t, 3, nil, func(c *realCluster) {
		for range 20 {
			if err := c.produce(100); err != nil {
				t.Fatal(err)
			}
		}
		c.powerLoss(3)
		began := time.Now()
		if err := c.produce(100); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 1200*time.Millisecond {
			t.Errorf("acks=all stalled for %v", took)
		}
		for range 200 {
			if err := c.produce(20_000); err != nil {
				t.Fatal(err)
			}
		}
		c.start(3)
		c.converged(10*time.Second, 1, 2, 3)
	})
}

// TestLeaderLosesPower: what was acknowledged is on the next leader, what was
// not may be cut from the old one when it comes back.
func TestLeaderLosesPower(t *testing.T) {
	t.Parallel()
	inRealCluster(t, 3, nil, func(c *realCluster) {
		for range 20 {
			if err := c.produce(100); err != nil {
				t.Fatal(err)
			}
		}
		old := c.state().Leader
		pending, _, err := c.append(100)
		if err != nil {
			t.Fatal(err)
		}
		c.powerLoss(old)
		c.fence(old)
		if now := c.state().Leader; now == old || now == cluster.NoBroker {
			t.Fatalf("leader is %d", now)
		}
		<-pending.Done()
		for range 20 {
			if err := c.produce(100); err != nil {
				t.Fatal(err)
			}
		}
		c.start(old)
		c.converged(10*time.Second, 1, 2, 3)
	})
}

// TestAllLosePower: three disks and what was acknowledged are all that is left.
func TestAllLosePower(t *testing.T) {
	t.Parallel()
	inRealCluster(t, 3, nil, func(c *realCluster) {
		for range 100 {
			if err := c.produce(1000); err != nil {
				t.Fatal(err)
			}
		}
		for id := range cluster.BrokerID(3) {
			c.powerLoss(id + 1)
		}
		for id := range cluster.BrokerID(3) {
			c.start(id + 1)
		}
		c.converged(15*time.Second, 1, 2, 3)
		if err := c.produce(100); err != nil {
			t.Error(err)
		}
		c.converged(time.Second, 1, 2, 3)
	})
}

// TestZombieLeader: a leader that is cut off from everybody goes on appending;
// none of it is acknowledged, and it is cut when the leader is back.
func TestZombieLeader(t *testing.T) {
	t.Parallel()
	inRealCluster(t, 3, nil, func(c *realCluster) {
		for range 10 {
			if err := c.produce(100); err != nil {
				t.Fatal(err)
			}
		}
		old := c.state().Leader
		for id := range cluster.BrokerID(3) {
			if id++; id != old {
				c.net.Cut(hostName(old), hostName(id))
				c.net.Cut(hostName(id), hostName(old))
			}
		}
		zombie := c.replica(old)
		var pending []*partition.Pending
		for range 5 {
			p, _, err := c.append(50)
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, p)
		}
		// It does not learn of its successor: take it off the list that do serves.
		c.mu.Lock()
		b := c.running[old]
		delete(c.running, old)
		c.mu.Unlock()
		c.fence(old)
		for range 10 {
			if err := c.produce(100); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(9 * time.Second) // the lease, and as long as another may be elected
		for _, p := range pending {
			select {
			case <-p.Done():
				if !errors.Is(p.Err(), partition.ErrNotLeader) {
					t.Errorf("offset %d: %v, want not leader", p.BaseOffset(), p.Err())
				}
			default:
				t.Errorf("offset %d: still waits when the lease ran out", p.BaseOffset())
			}
		}
		if hw := zombie.Info().HighWatermark; hw != 10 {
			t.Errorf("the zombie's high watermark is %d", hw)
		}
		for id := range cluster.BrokerID(3) {
			if id++; id != old {
				c.net.Heal(hostName(old), hostName(id))
				c.net.Heal(hostName(id), hostName(old))
			}
		}
		c.mu.Lock()
		c.running[old] = b
		reg, _ := c.image.Broker(old)
		img := c.image
		c.mu.Unlock()
		b.learn(img)
		c.do(cluster.UnfenceBroker{ID: old, Epoch: reg.Epoch})
		c.converged(10*time.Second, 1, 2, 3)
	})
}
