package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// pipes is a network of one listener, in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial(ctx context.Context, _, host string) (net.Conn, error) {
	if host != "host-1:9091" {
		return nil, fmt.Errorf("connect to %s: refused", host)
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve puts the broker on the network. Only broker 1 is up.
func serve(t testing.TB, configure ...func(*Options)) (*bed, *pipes) {
	t.Helper()
	b := newBed(t, configure...)
	b.fence(2)
	b.fence(3)
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	b.run(wire.New(wire.Options{Listener: listener, Handler: b.api}).Serve)
	b.run(b.api.Run)
	return b, listener
}

func connect(t *testing.T, network *pipes, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers("host-1:9091"), kgo.Dialer(network.dial))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// A real client creates a topic, produces with its defaults (idempotent,
// acks=all, pipelined) and reads everything back, in order and once.
func TestAClientProducesAndConsumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const records, partitions = 500, 3
		_, network := serve(t)
		producer := connect(t, network, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2000), kgo.DefaultProduceTopic("orders"))
		if _, err := kadm.NewClient(producer).CreateTopic(t.Context(), partitions, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			r := &kgo.Record{Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%d", i)}
			producer.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("record %d: %v", i, err)
				}
			})
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}

		consumer := connect(t, network, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		got := map[int32][]string{}
		for n := 0; n < records; {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			fetches := consumer.PollFetches(ctx)
			cancel()
			if err := fetches.Err(); err != nil {
				t.Fatalf("after %d records: %v", n, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				got[r.Partition] = append(got[r.Partition], string(r.Value))
				n++
			})
		}
		for i := range records {
			p := int32(i % partitions)
			if at := i / partitions; at >= len(got[p]) || got[p][at] != fmt.Sprint(i) {
				t.Fatalf("partition %d holds %v, want record %d at %d", p, got[p], i, at)
			}
		}
	})
}

func TestAnAdminClientFindsItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, network := serve(t)
		admin := kadm.NewClient(connect(t, network))
		ctx := t.Context()
		if _, err := admin.CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.CreateTopic(ctx, 2, 1, nil, "orders"); !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Errorf("created twice: %v", err)
		}
		md, err := admin.Metadata(ctx, "orders")
		if err != nil || len(md.Topics["orders"].Partitions) != 2 || md.Cluster != "test-cluster" || md.Controller != 1 {
			t.Errorf("metadata %+v, error %v", md, err)
		}
		if dirs, err := admin.DescribeAllLogDirs(ctx, nil); err != nil || len(dirs[1]) != 1 {
			t.Errorf("log dirs %+v, error %v", dirs, err)
		}
		if configs, err := admin.DescribeTopicConfigs(ctx, "orders"); err != nil || len(configs[0].Configs) != len(cluster.TopicConfigKeys()) {
			t.Errorf("configs %+v, error %v", configs, err)
		}
		if offsets, err := admin.ListEndOffsets(ctx, "orders"); err != nil || len(offsets["orders"]) != 2 {
			t.Errorf("end offsets %+v, error %v", offsets, err)
		}
		if deleted, err := admin.DeleteTopics(ctx, "orders"); err != nil || deleted.Error() != nil {
			t.Errorf("deleted %+v, error %v", deleted, err)
		}
	})
}

// A transactional client must fail with a reason, and not hang.
func TestATransactionalClientIsToldNo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, network := serve(t)
		client := connect(t, network, kgo.TransactionalID("payments"), kgo.DefaultProduceTopic("orders"))
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := client.BeginTransaction(); err != nil {
			return
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want a refusal", err)
		}
	})
}

// Requests with random bytes changed: whatever they say now, the broker answers
// or closes the connection, and goes on.
func TestMangledRequestsDoNoHarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, network := serve(t)
		b.topic("orders", nil, []cluster.BrokerID{1})
		b.produce("orders", 0, batch(3))
		requests := []kmsg.Request{
			produceRequest("orders", 0, -1, batch(2).Bytes()), fetchRequest(12, fetchFrom{"orders", 0, 0}),
			metadataRequest("orders"), createRequest("new", 1, 1), fetchRequest(17, fetchFrom{"orders", 0, 0}),
		}
		for _, a := range apis() {
			requests = append(requests, kmsg.RequestForKey(a.key))
		}
		for seed := range uint64(400) {
			rng := rand.New(rand.NewPCG(seed, 7))
			req := requests[rng.IntN(len(requests))]
			lowest, highest, _ := b.api.Versions(req.Key())
			req.SetVersion(lowest + int16(rng.IntN(int(highest-lowest)+1)))
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(seed))
			for range 1 + rng.IntN(4) {
				frame[8+rng.IntN(len(frame)-8)] = byte(rng.Uint32()) // key and version stay
			}
			nc, err := network.dial(t.Context(), "", "host-1:9091")
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
			if _, err := nc.Write(frame); err == nil {
				_, err = nc.Read(make([]byte, 1))
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					// acks=0 or a wait of more than a minute would be the only reasons.
					if req.Key() != 0 {
						t.Errorf("seed %d: key %d v%d: neither answered nor closed", seed, req.Key(), req.GetVersion())
					}
				}
			}
			nc.Close()
		}
		if got := b.produce("orders", 0, batch(1)); got < 3 {
			t.Errorf("appended at %d, want behind what was there", got)
		}
	})
}
