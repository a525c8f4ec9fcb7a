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
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/harness"
)

// smokeLimit bounds the whole smoke test, and each wait in it.
const smokeLimit = 15 * time.Second

const smokeTopic = "smoke"

// TestSmoke is the world once round: brokers on three hosts, a leader that is
// cut from one follower, acknowledgements that go on, and everything as it was.
func TestSmoke(t *testing.T) {
	start := time.Now()
	n := host.NewNetwork(t, 3)
	c := host.Start(t, n, host.Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap()...), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := kadm.NewClient(client).CreateTopic(harness.Within(t, smokeLimit), 1, 3, nil, smokeTopic); err != nil {
		t.Fatal(err)
	}
	produce := func(what string) time.Duration {
		t.Helper()
		sent := time.Now()
		record := &kgo.Record{Topic: smokeTopic, Value: []byte(what)}
		if err := client.ProduceSync(harness.Within(t, smokeLimit), record).FirstErr(); err != nil {
			t.Fatalf("acks=all, %s: %v", what, err)
		}
		return time.Since(sent)
	}
	produce("at first")

	leader, follower := leaderAndFollower(t, client)
	n.Cut(leader, follower)
	t.Logf("acks=all %v after leader %d was cut from follower %d", produce("cut").Round(time.Millisecond), leader, follower)
	awaitInSync(t, client, leader, func(isr []int32) bool { return !slices.Contains(isr, int32(follower)) })
	produce("without the follower")
	n.Heal()
	awaitInSync(t, client, leader, func(isr []int32) bool { return len(isr) == 3 })
	produce("healed")

	if took := time.Since(start); took > smokeLimit {
		t.Errorf("it took %v, want at most %v", took.Round(time.Millisecond), smokeLimit)
	}
}

// leaderAndFollower returns the leader of the partition on brokers 1 to 3, and a
// follower that is not the controller: a leader that is cut from the controller
// gives its place up, which is another case.
func leaderAndFollower(t *testing.T, client *kgo.Client) (leader, follower int) {
	t.Helper()
	p, controller, err := ask(harness.Within(t, smokeLimit), client)
	if err != nil {
		t.Fatal(err)
	}
	leader = int(p.Leader)
	follower = 1 + leader%3
	if follower == int(controller) {
		follower = 1 + follower%3
	}
	return leader, follower
}

// awaitInSync waits until the leader knows an in-sync set. Others may be cut off.
func awaitInSync(t *testing.T, client *kgo.Client, leader int, is func([]int32) bool) {
	t.Helper()
	harness.Await(harness.Within(t, smokeLimit), t, "the in-sync set", func(ctx context.Context) error {
		p, _, err := ask(ctx, client.Broker(leader))
		if err == nil && !is(p.ISR) {
			err = fmt.Errorf("it is %v", p.ISR)
		}
		return err
	})
}

// ask asks for the only partition of the topic, and the controller.
func ask(ctx context.Context, of kmsg.Requestor) (p kmsg.MetadataResponseTopicPartition, controller int32, err error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(smokeTopic)
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, of)
	if err != nil {
		return p, 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return p, 0, fmt.Errorf("%d topics, want the one with its partition", len(response.Topics))
	}
	return response.Topics[0].Partitions[0], response.ControllerID, nil
}
