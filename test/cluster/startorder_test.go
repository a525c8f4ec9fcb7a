package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// firstAckLimit bounds the first acks=all on a cold cluster, from the moment
// that enough brokers have been started. The time that a run took is logged.
const firstAckLimit = 10 * time.Second

// TestStartInAnyOrder starts three brokers with new directories in every
// order, with delays between them. Two of them are a cluster that takes writes,
// whichever they are and however long the third takes to appear.
func TestStartInAnyOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		order  [3]int
		second time.Duration // from the first start to the second
		third  time.Duration // from the second start to the third
	}{
		{name: "1 2 3 at once", order: [3]int{1, 2, 3}},
		{name: "1 3 2 soon after each other", order: [3]int{1, 3, 2}, second: 300 * time.Millisecond, third: 300 * time.Millisecond},
		{name: "2 1 3 with the third late", order: [3]int{2, 1, 3}, third: 5 * time.Second},
		{name: "2 3 1 with the first alone for long", order: [3]int{2, 3, 1}, second: 10 * time.Second},
		{name: "3 1 2 with both late", order: [3]int{3, 1, 2}, second: 2 * time.Second, third: 3 * time.Second},
		{name: "3 2 1 in pairs", order: [3]int{3, 2, 1}, third: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terminals := newTerminals(t)
			terminals.open(t, tt.order[0])
			harness.Pause(t, tt.second)
			terminals.open(t, tt.order[1])
			twoStarted := time.Now()
			if tt.third > 0 {
				firstAck(t, terminals.bootstrap, "two", 2)
				t.Logf("first acks=all %v after the second start", time.Since(twoStarted).Round(time.Millisecond))
				harness.Pause(t, tt.third-time.Since(twoStarted))
			}
			threeStarted := time.Now()
			terminals.open(t, tt.order[2])
			firstAck(t, terminals.bootstrap, "three", 3)
			t.Logf("first acks=all on three replicas %v after the third start", time.Since(threeStarted).Round(time.Millisecond))
		})
	}
}

// firstAck creates a topic with as many replicas as there should be brokers,
// and writes one record to it with acks=all.
func firstAck(t *testing.T, bootstrap []string, topic string, replicas int16) {
	t.Helper()
	ctx := harness.Within(t, firstAckLimit)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	createTopic(ctx, t, client, topic, 1, replicas)
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("first")}).FirstErr(); err != nil {
		t.Fatalf("first acks=all on %s: %v", topic, err)
	}
}

// createTopic asks until the cluster has enough brokers for the topic.
func createTopic(ctx context.Context, t *testing.T, client *kgo.Client, topic string, partitions int32, replicas int16) {
	t.Helper()
	admin := kadm.NewClient(client)
	harness.Await(ctx, t, fmt.Sprintf("topic %s on %d brokers", topic, replicas), func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := admin.CreateTopic(attempt, partitions, replicas, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil // an attempt before was carried out after its time
		}
		return err
	})
}

// terminals are three operators who start one broker each, of the same cluster.
type terminals struct {
	bootstrap []string
	peers     string
	brokers   []devcluster.Broker
	dir       string
}

func newTerminals(t *testing.T) *terminals {
	t.Helper()
	w := &terminals{dir: t.TempDir()}
	var peers []string
	for id := 1; id <= 3; id++ {
		b := devcluster.Broker{ID: id, Address: freeAddress(t), Peer: freeAddress(t), HTTP: freeAddress(t)}
		w.brokers = append(w.brokers, b)
		w.bootstrap = append(w.bootstrap, b.Address)
		peers = append(peers, fmt.Sprintf("%d@%s", id, b.Peer))
	}
	w.peers = strings.Join(peers, ",")
	return w
}

// open starts one broker and does not wait for it: alone it cannot be ready.
// The broker ends with the test.
func (w *terminals) open(t *testing.T, id int) {
	t.Helper()
	dir := filepath.Join(w.dir, fmt.Sprint(id))
	layout, err := json.Marshal([]devcluster.Broker{w.brokers[id-1]})
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "devcluster.json"), layout, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	type start struct {
		broker *devcluster.Cluster
		err    error
	}
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan start, 1)
	go func() {
		broker, err := devcluster.Start(ctx, devcluster.Options{
			Binary: harness.Binary(), Dir: dir, Args: []string{"--peers", w.peers}, ReadyTimeout: time.Minute,
		})
		started <- start{broker, err}
	}()
	t.Cleanup(func() {
		cancel()
		s := <-started
		if s.err == nil {
			// Not a stop: the last broker of a cluster would wait for others
			// to take its leaderships over.
			s.err = errors.Join(s.broker.Kill(0), s.broker.Close(context.WithoutCancel(t.Context())))
		}
		harness.Report(t, s.err)
		if s.broker != nil {
			harness.CheckLogs(t, s.broker)
		}
	})
}

// freeAddress finds a port outside of the range that outgoing connections use:
// one from inside it could be taken by the time the broker is started.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", fmt.Sprint(12000+rand.IntN(8000)))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port in 100 attempts")
	return ""
}
