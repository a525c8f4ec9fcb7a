//go:build faults && linux

package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/harness"
)

// smokeLimit bounds the whole smoke test, and each wait in it.
const smokeLimit = 15 * time.Second

// TestSmoke is the world once round: brokers on three hosts, a leader that is
// cut from one follower, acknowledgements that go on, and everything as it was.
func TestSmoke(t *testing.T) {
	start := time.Now()
	const topic = "smoke"
	n := host.NewNetwork(t, 3)
	c := host.Start(t, n, host.Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap()...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(harness.Within(t, smokeLimit), 1, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	produce := func(what string) time.Duration {
		t.Helper()
		sent := time.Now()
		if err := client.ProduceSync(harness.Within(t, smokeLimit), &kgo.Record{Topic: topic, Value: []byte(what)}).FirstErr(); err != nil {
			t.Fatalf("acks=all, %s: %v", what, err)
		}
		return time.Since(sent)
	}
	produce("at first")

	p := partition(harness.Within(t, smokeLimit), t, admin, topic)
	leader := int(p.Leader)
	follower := 1 + leader%3
	n.Cut(leader, follower)
	stall := produce("cut")
	t.Logf("acks=all %v after leader %d was cut from follower %d", stall.Round(time.Millisecond), leader, follower)
	awaitInSync(t, admin, topic, func(isr []int32) bool { return !slices.Contains(isr, int32(follower)) })
	produce("without the follower")
	n.Heal()
	awaitInSync(t, admin, topic, func(isr []int32) bool { return len(isr) == 3 })
	produce("healed")

	if took := time.Since(start); took > smokeLimit {
		t.Errorf("it took %v, want at most %v", took.Round(time.Millisecond), smokeLimit)
	}
}

// partition describes the only partition of a topic.
func partition(ctx context.Context, t *testing.T, admin *kadm.Client, topic string) kadm.PartitionDetail {
	t.Helper()
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	p := topics[topic].Partitions[0]
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	return p
}

func awaitInSync(t *testing.T, admin *kadm.Client, topic string, is func([]int32) bool) {
	t.Helper()
	harness.Await(harness.Within(t, smokeLimit), t, "the in-sync set", func(ctx context.Context) error {
		if isr := partition(ctx, t, admin, topic).ISR; !is(isr) {
			return fmt.Errorf("it is %v", isr)
		}
		return nil
	})
}
