package admin

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// scripted is a cluster of brokers that answer as a test says. Broker ids are
// 1, 2, 3; ApiVersions is answered from the keys that have a script.
type scripted struct {
	t         *testing.T
	listeners []net.Listener

	mu      sync.Mutex
	scripts map[int16]func(broker int32, req kmsg.Request) kmsg.Response // guarded by mu
	calls   map[int16]int                                                // guarded by mu
}

// newScripted starts a cluster that knows Metadata: one topic "orders" whose
// partition p is led by broker p+1, with every replica in sync.
func newScripted(t *testing.T, brokers int) *scripted {
	t.Helper()
	s := &scripted{
		t: t, calls: make(map[int16]int),
		scripts: make(map[int16]func(int32, kmsg.Request) kmsg.Response),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for i := range brokers {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.listeners = append(s.listeners, listener)
		server := wire.New(wire.Options{
			Listener: listener, Handler: scriptedBroker{s, int32(i + 1)}, Logger: slog.New(slog.DiscardHandler),
		})
		wg.Go(func() { _ = server.Serve(ctx) })
	}
	s.on(kmsg.Metadata, func(int32, kmsg.Request) kmsg.Response { return s.metadata() })
	return s
}

func (s *scripted) on(key kmsg.Key, answer func(broker int32, req kmsg.Request) kmsg.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[int16(key)] = answer
}

func (s *scripted) called(key kmsg.Key) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[int16(key)]
}

func (s *scripted) seeds() []string {
	var seeds []string
	for _, l := range s.listeners {
		seeds = append(seeds, l.Addr().String())
	}
	return seeds
}

// stop closes a broker's listener, and with it its connections to come.
func (s *scripted) stop(broker int32) { _ = s.listeners[broker-1].Close() }

// metadata describes the cluster.
func (s *scripted) metadata() *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID, resp.ControllerID = kmsg.StringPtr("scripted"), 1
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = kmsg.StringPtr("orders")
	var ids []int32
	for i, l := range s.listeners {
		host, port, _ := net.SplitHostPort(l.Addr().String())
		b := kmsg.NewMetadataResponseBroker()
		number, _ := strconv.Atoi(port)
		b.NodeID, b.Host, b.Port = int32(i+1), host, int32(number)
		resp.Brokers = append(resp.Brokers, b)
		ids = append(ids, b.NodeID)
	}
	for i := range s.listeners {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), int32(i+1), 7
		p.Replicas, p.ISR = ids, ids
		topic.Partitions = append(topic.Partitions, p)
	}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// client opens a client on the cluster.
func (s *scripted) client() *Client {
	s.t.Helper()
	c, err := Open(s.t.Context(), Options{Seeds: s.seeds()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// scriptedBroker is one broker's wire.Handler.
type scriptedBroker struct {
	s  *scripted
	id int32
}

// Versions implements wire.Handler.
func (b scriptedBroker) Versions(key int16) (lowest, highest int16, ok bool) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	_, known := b.s.scripts[key]
	if req := kmsg.RequestForKey(key); req != nil && (known || key == int16(kmsg.ApiVersions)) {
		return 0, req.MaxVersion(), true
	}
	return 0, 0, false
}

// Handle implements wire.Handler.
func (b scriptedBroker) Handle(_ context.Context, req *wire.Request) (wire.Reply, error) {
	if req.Key == int16(kmsg.ApiVersions) {
		return wire.Now(b.apiVersions(req.Body)), nil
	}
	b.s.mu.Lock()
	answer := b.s.scripts[req.Key]
	b.s.calls[req.Key]++
	b.s.mu.Unlock()
	resp := answer(b.id, req.Body)
	if resp == nil { // the script of a broker that says nothing
		return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), nil
	}
	resp.SetVersion(req.Version)
	return wire.Now(resp), nil
}

func (b scriptedBroker) apiVersions(req kmsg.Request) kmsg.Response {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	keys := []int16{int16(kmsg.Produce), int16(kmsg.ApiVersions)} // a broker without Produce is taken for an ancient one
	for key := range b.s.scripts {
		keys = append(keys, key)
	}
	for _, key := range keys {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = key, kmsg.RequestForKey(key).MaxVersion()
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}
