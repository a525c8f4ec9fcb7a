package startup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// hangLimit ends a wait for something that does not happen at all.
const hangLimit = 30 * time.Second

// prepare arranges a cluster whose brokers start when the test says so. They
// end with the test, by SIGKILL: a broker that stops waits for others to take
// its leaderships over, and this is not about that.
func prepare(t *testing.T, brokers int) *devcluster.Cluster {
	t.Helper()
	c, err := devcluster.Prepare(t.Context(), devcluster.Options{
		Binary: harness.Binary(), Dir: t.TempDir(), Brokers: brokers, ReadyTimeout: hangLimit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i, b := range c.Brokers() {
			if b.PID != 0 {
				harness.Report(t, c.Kill(i))
			}
		}
		harness.Report(t, c.Close(context.WithoutCancel(t.Context())))
		harness.CheckLogs(t, c)
	})
	return c
}

// launch starts a broker and does not wait.
func launch(t *testing.T, c *devcluster.Cluster, i int, args ...string) {
	t.Helper()
	if err := c.Launch(i, args...); err != nil {
		t.Fatal(err)
	}
}

// awaitListening returns when a broker that was launched takes connections.
func awaitListening(t *testing.T, c *devcluster.Cluster, i int) time.Time {
	t.Helper()
	harness.Await(harness.Within(t, hangLimit), t, "the broker to listen", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Brokers()[i].Address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return time.Now()
}

// newClient returns a client that waits for nothing: what it measures is the
// cluster.
func newClient(t *testing.T, bootstrap []string) *kgo.Client {
	t.Helper()
	const pause = 20 * time.Millisecond
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.MetadataMinAge(pause),
		kgo.RetryBackoffFn(func(int) time.Duration { return pause }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// firstAck creates a topic with as many replicas as brokers are up, and writes
// one record to it with acks=all.
func firstAck(t *testing.T, client *kgo.Client, topic string, replicas int16) {
	t.Helper()
	ctx := harness.Within(t, hangLimit)
	admin := kadm.NewClient(client)
	harness.Await(ctx, t, fmt.Sprintf("topic %s on %d brokers", topic, replicas), func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := admin.CreateTopic(attempt, 1, replicas, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil // an attempt before was carried out after its time
		}
		return err
	})
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("first")}).FirstErr(); err != nil {
		t.Fatalf("first acks=all on %s: %v", topic, err)
	}
}

// checkFirstAck fails the test if acks=all took too long.
func checkFirstAck(t *testing.T, what string, since time.Time, limit time.Duration) {
	t.Helper()
	took := time.Since(since).Round(time.Millisecond)
	t.Logf("first acks=all %v after %s", took, what)
	if took > limit {
		t.Errorf("first acks=all %v after %s, want at most %v", took, what, limit)
	}
}

// random returns the source of one test's choices, which its seed repeats.
func random(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	t.Logf("-startup.seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, stream)) //nolint:gosec // schedules, not secrets
}
