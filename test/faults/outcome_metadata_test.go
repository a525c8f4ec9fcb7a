//go:build faults && linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/broken"
	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/load"
)

// TestOutcomeClockJumps: the wall clocks of all brokers jump by up to ten years,
// forth and back, every three seconds, and nothing but timestamps notices.
func TestOutcomeClockJumps(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p := plan{binary: filepath.Join(t.TempDir(), "chronik")}
	if err := broken.StrobingClock.Compile(t.Context(), root, p.binary); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, p)
	before := r.detail()
	r.fault(0, "clocks strobe", func() error { return nil })
	r.pause(12 * time.Second) // four jumps
	r.awaitAcks(100)
	for _, now := range r.detail() {
		if was := before[now.Partition]; now.LeaderEpoch != was.LeaderEpoch || !slices.Equal(now.ISR, was.ISR) {
			t.Errorf("partition %d: leader epoch %d, in sync %v; was %d, %v", now.Partition, now.LeaderEpoch, now.ISR, was.LeaderEpoch, was.ISR)
		}
	}
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), time.Second)
}

// TestOutcomeTopicRecreated: a topic is deleted and created again while a replica
// of it is cut off. Nothing of the old one gets into the new one.
func TestOutcomeTopicRecreated(t *testing.T) {
	r := newRig(t, plan{partitions: 1})
	const name = "again"
	r.recreate(name)
	partition, leader := r.ledByAnother(name, r.controller())
	victim := without(without(r.all(), leader), r.controller())[0]
	r.produce(name, partition, "old", 100)
	// The controller still hears both, so that neither is fenced.
	end := r.cut("a follower cut from the leader", func() func() { return r.net.Cut(leader, victim) })
	r.produce(name, partition, "old", 100)
	deleted, err := r.admin.DeleteTopics(r.within(10*time.Second), name)
	if err := errors.Join(err, deleted.Error()); err != nil {
		t.Fatal(err)
	}
	r.recreate(name)
	r.produce(name, partition, "new", 150)
	end()
	r.await(30*time.Second, "the new topic on every broker", func(ctx context.Context) error {
		return r.hold(ctx, name, partition, 150)
	})
	client := r.probe(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {partition: kgo.NewOffset().AtStart()}}))
	for n := 0; n < 150; {
		fetches := client.PollFetches(r.within(10 * time.Second))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, record := range fetches.Records() {
			if !bytes.Equal(record.Value, []byte("new")) {
				t.Fatalf("offset %d holds %q", record.Offset, record.Value)
			}
			n++
		}
	}
	r.verdict(check.Rules{})
}

// recreate creates a topic of three partitions, once the one before is gone.
func (r *rig) recreate(name string) {
	r.Helper()
	r.await(20*time.Second, "topic "+name, func(ctx context.Context) error {
		created, err := r.admin.CreateTopics(ctx, 3, 3, nil, name)
		return errors.Join(err, created.Error())
	})
}

// ledByAnother finds a partition of a topic that a broker does not lead.
func (r *rig) ledByAnother(name string, broker int) (partition int32, leader int) {
	r.Helper()
	r.await(10*time.Second, "a leader other than the controller", func(ctx context.Context) error {
		md, err := r.admin.Metadata(ctx, name)
		if err != nil {
			return err
		}
		for _, p := range md.Topics[name].Partitions.Sorted() {
			if p.Leader > 0 && int(p.Leader) != broker {
				partition, leader = p.Partition, int(p.Leader)
				return nil
			}
		}
		return errors.New("broker leads all")
	})
	return partition, leader
}

// hold returns an error unless all three replicas of a partition hold n records.
func (r *rig) hold(ctx context.Context, name string, partition int32, n int64) error {
	cfg := r.config()
	cfg.Topic, cfg.Partitions = name, 3
	replicas, err := load.ReadReplicas(ctx, cfg)
	if err != nil {
		return err
	}
	holders := 0
	for _, replica := range replicas {
		if replica.Partition != partition {
			continue
		}
		if replica.LogStart != 0 || replica.HighWatermark != n || int64(len(replica.Batches)) != n {
			return fmt.Errorf("broker %d: [%d, %d), %d batches", replica.Node, replica.LogStart, replica.HighWatermark, len(replica.Batches))
		}
		holders++
	}
	if holders != 3 {
		return fmt.Errorf("%d replicas", holders)
	}
	return nil
}

// produce sends records to a partition, one after the other, until each is
// acknowledged.
func (r *rig) produce(name string, partition int32, value string, n int) {
	r.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers.Bootstrap()...), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		r.Fatal(err)
	}
	defer client.Close()
	for range n {
		record := &kgo.Record{Topic: name, Partition: partition, Value: []byte(value)}
		if err := client.ProduceSync(r.within(20*time.Second), record).FirstErr(); err != nil {
			r.Fatal(err)
		}
	}
}
