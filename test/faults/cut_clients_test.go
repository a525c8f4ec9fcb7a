//go:build faults && linux

package faults

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOutcomeCutFromControllerDefaults: what a client with the defaults of its
// library notices of a leader that is cut from the controller. It looks for the
// new leader when it is told to, and then not again for five seconds: whatever
// sends it to look too early, or tells it what was true before, costs that much.
// The cut broker hears of a new leader from that one, or, when it is cut from it
// too, from the third.
func TestOutcomeCutFromControllerDefaults(t *testing.T) {
	for name, toController := range map[string]bool{"the third broker takes over": false, "the controller takes over": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, plan{})
			controller := r.controller()
			victim, partition := 0, int32(0)
			for _, p := range r.detail() {
				// The next replica in the order of assignment is elected.
				if int(p.Leader) != controller && (int(p.Replicas[1]) == controller) == toController {
					victim, partition = int(p.Leader), p.Partition
				}
			}
			if victim == 0 {
				t.Fatalf("controller %d: no such partition in %v", controller, r.detail())
			}
			client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers.Bootstrap()...), kgo.RequiredAcks(kgo.AllISRAcks()),
				kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			r.produceFor(client, partition, 6*time.Second) // its first look for leaders is long ago
			end := r.cut("a leader cut from the controller", func() func() { return r.net.Cut(victim, controller) })
			longest := r.produceFor(client, partition, 12*time.Second)
			r.awaitNewLeader(victim, partition)
			t.Logf("controller %d, old leader %d, new leader %d", controller, victim, r.leader(partition))
			// 6 s until the controller gives the leader up, and what follows from it.
			r.atMost("stall of a client with its defaults", longest, 8*time.Second)
			end()
			client.Close()
		})
	}
}

// produceFor produces one record after the other, and returns the longest time
// that one took.
func (r *rig) produceFor(client *kgo.Client, partition int32, d time.Duration) time.Duration {
	r.Helper()
	var longest time.Duration
	for began := time.Now(); time.Since(began) < d; {
		sent := time.Now()
		record := &kgo.Record{Topic: topic, Partition: partition, Value: make([]byte, 8)}
		if err := client.ProduceSync(r.within(40*time.Second), record).FirstErr(); err != nil {
			r.Fatalf("acks=all: %v", err)
		}
		longest = max(longest, time.Since(sent))
		r.pause(20 * time.Millisecond)
	}
	return longest
}
