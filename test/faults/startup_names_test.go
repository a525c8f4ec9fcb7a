//go:build faults && linux

package faults

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/harness"
)

// firstAckLimit bounds the first acks=all from the moment that the names of
// enough brokers resolve. It takes half a second on a quiet machine.
const firstAckLimit = 5 * time.Second

// TestNamesThatResolveLate starts three brokers that know each other by names
// of which none resolves, and has them resolve one after the other. While there
// are too few the brokers say which name is missing; as soon as there are two
// the cluster takes writes.
func TestNamesThatResolveLate(t *testing.T) {
	for _, order := range [][]int{{1, 2, 3}, {3, 1, 2}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			n := host.NewNetwork(t, 3)
			c := host.Prepare(t, n, host.Options{Names: true})
			for i := range c.Brokers() {
				if err := c.Launch(i); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range c.Brokers() {
				awaitLogged(t, b.Log, "waiting to be reachable at this broker's own address in --peers", "no such host")
			}
			known := map[string]string{host.Name(order[0]): host.Address(order[0])}
			n.SetHosts(known)
			client, err := kgo.NewClient(
				kgo.SeedBrokers(c.Bootstrap()...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
				kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
			)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			for i, id := range order[1:] {
				known[host.Name(id)] = host.Address(id)
				n.SetHosts(known)
				resolves := time.Now()
				firstAck(t, client, fmt.Sprintf("names-%d", i+2), int16(i+2))
				took := time.Since(resolves).Round(time.Millisecond)
				t.Logf("first acks=all %v after name %d of 3 resolves", took, i+2)
				if took > firstAckLimit {
					t.Errorf("first acks=all %v after name %d of 3 resolves, want at most %v", took, i+2, firstAckLimit)
				}
			}
		})
	}
}

// firstAck creates a topic and writes one record to it with acks=all.
func firstAck(t *testing.T, client *kgo.Client, topic string, replicas int16) {
	t.Helper()
	ctx := harness.Within(t, 30*time.Second)
	admin := kadm.NewClient(client)
	harness.Await(ctx, t, "topic "+topic, func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := admin.CreateTopic(attempt, 1, replicas, nil, topic)
		return err
	})
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("first")}).FirstErr(); err != nil {
		t.Fatalf("first acks=all on %s: %v", topic, err)
	}
}

func awaitLogged(t *testing.T, file string, parts ...string) {
	t.Helper()
	harness.Await(harness.Within(t, 15*time.Second), t, "the broker to say what it waits for", func(context.Context) error {
		text, err := os.ReadFile(file)
		for _, part := range parts {
			if err == nil && !strings.Contains(string(text), part) {
				err = fmt.Errorf("the log has no %q", part)
			}
		}
		return err
	})
}
