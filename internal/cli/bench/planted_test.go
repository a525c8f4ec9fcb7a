package bench

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// firstValue returns the value of the first record of a produce request, and
// where it goes.
func firstValue(t *testing.T, req *kmsg.ProduceRequest) (partition int32, value []byte) {
	t.Helper()
	p := req.Topics[0].Partitions[0]
	var raw kmsg.FetchResponseTopicPartition
	raw.RecordBatches, raw.HighWatermark = p.Records, 1<<40
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t", Partition: p.Partition}, &raw, kgo.DefaultDecompressor(), nil)
	if got.Err != nil || len(got.Records) == 0 {
		t.Errorf("a produce request does not decode: %v", got.Err)
		return p.Partition, nil
	}
	return p.Partition, bytes.Clone(got.Records[0].Value)
}

// planter writes into the topic under load behind the back of the benchmark.
type planter struct {
	t       *testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	running sync.WaitGroup
}

func newPlanter(t *testing.T, cluster *kfake.Cluster) *planter {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ClientID("planter"), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	p := &planter{t: t, cluster: cluster, client: client}
	t.Cleanup(func() { p.running.Wait(); client.Close() })
	return p
}

// write adds a value without waiting: it is called from within the cluster.
func (p *planter) write(partition int32, value []byte) {
	p.running.Go(func() {
		rec := &kgo.Record{Topic: "planted", Partition: partition, Value: value}
		if err := p.client.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			p.t.Errorf("plant a record: %v", err)
		}
	})
}

// plant makes one defect out of the produce requests of the benchmark.
func (p *planter) plant(kind string) {
	var held []byte // a record that was refused and is to come late
	var heldFor int32
	later, done := 0, false
	p.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		p.cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if done || len(produce.Topics) == 0 {
			return nil, nil, false
		}
		partition, value := firstValue(p.t, produce)
		switch {
		case kind == "duplicate":
			p.write(partition, value)
			done = true
		case kind == "corrupt":
			value[len(value)-1] ^= 1
			p.write(partition, value)
			done = true
		case held == nil:
			held, heldFor = value, partition
			return refusal(produce), nil, true
		case partition == heldFor:
			if later++; later == 2 { // one that came later is in the log by now
				p.write(partition, held)
				done = true
			}
		}
		return nil, nil, false
	})
}

func refusal(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range req.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			one := kmsg.NewProduceResponseTopicPartition()
			one.Partition, one.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code
			answer.Partitions = append(answer.Partitions, one)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// Whatever is wrong with what was acked is status 5, whoever looks for it.
func TestPlantedDefectsAreStatusFive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind, args, want string
	}{
		{kind: "duplicate", args: "--acks all+idempotent", want: "duplicates 1"},
		{kind: "duplicate", args: "--acks all --verify sample", want: "duplicates 1"},
		{kind: "corrupt", args: "--acks all+idempotent", want: "corrupt 1"},
		{kind: "corrupt", args: "--acks 1 --verify sample", want: "corrupt 1"},
		{kind: "reordered", args: "--acks all", want: "reordered 1"},
		{kind: "reordered", args: "--acks all --verify sample", want: "reordered 1"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(slices.Concat([]string{tt.kind}, strings.Fields(tt.args)), " "), func(t *testing.T) {
			t.Parallel()
			cluster := fakeCluster(t, kfake.SeedTopics(3, "planted"))
			newPlanter(t, cluster).plant(tt.kind)
			stdout, stderr, status := newConsole().run(t.Context(), cluster, "acks-all --rate 300 --duration 600ms --warmup 0 --traces off --topic planted "+tt.args)
			if status != exit.VerificationFailed || !strings.Contains(stdout, tt.want) || !strings.Contains(stderr, "verification failed") {
				t.Errorf("status %d, want %d and %q\n%s%s", status, exit.VerificationFailed, tt.want, stdout, stderr)
			}
		})
	}
}
