//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/host"
	"github.com/chronik-project/chronik/test/faults/load"
)

// memoryLimit is what the kernel gives each broker, and memoryBudget what the
// broker is told: the rest is for its own code, and for the kernel's socket
// buffers, which count.
const (
	memoryLimit  = 256 << 20
	memoryBudget = "128MiB"
)

// TestGoal16Memory: brokers with 256 MiB each live through ten times the usual
// load, and through consumers that hardly read what they have asked for.
func TestGoal16Memory(t *testing.T) {
	c := newCampaign(t, 16, 1, 5)
	length, calm := 60*time.Second, 20*time.Second
	if !*long {
		length, calm = 3*time.Second, time.Second
	}
	p := plan{load: load.Config{Idempotent: 1, Ordered: 1, Direct: 1, Rate: 200, ValueBytes: 4 << 10, Consumers: 1}}
	p.host = host.Options{Memory: memoryLimit, Args: []string{"--memory", memoryBudget}}
	c.More["out_of_memory"], c.More["limit_mib"], c.More["budget"] = 0, memoryLimit>>20, memoryBudget
	for c.more() {
		c.cluster(func(t *testing.T) {
			r := newRig(t, p)
			b := newBurst(r)
			c.rounds(r, roundsPerCluster, func() {
				r.pause(calm)
				before := b.bytes.Load()
				r.fault(0, "a burst, and slow consumers", func() error { c.watchMemory(r, func() { b.run(length) }); return nil })
				r.Logf("the burst came to %.1f MB/s", float64(b.bytes.Load()-before)/1e6/length.Seconds())
				c.note("burst_kb_per_second", int64(float64(b.bytes.Load()-before)/1e3/length.Seconds()))
				r.pause(calm)
				c.alive(r)
				report := c.judge(r, 1, check.Rules{})
				for _, s := range report.Stalls {
					c.samples = append(c.samples, s.Longest)
				}
			})
		})
	}
	if n := c.More["out_of_memory"]; n != 0 {
		c.Errorf("the kernel killed brokers %v times", n)
	}
	c.finish("longest stall of each partition and round, ms", 0, 0, 0)
}

// watchMemory notes the most memory of its own that a broker has while during runs.
func (c *campaign) watchMemory(r *rig, during func()) {
	most, _ := c.More["most_rss_mib"].(int)
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, b := range r.brokers.Brokers() {
				most = max(most, rssMiB(b.PID))
			}
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	})
	during()
	close(over)
	watching.Wait()
	c.More["most_rss_mib"] = most
}

// rssMiB is the anonymous memory of a process; 0 if it is gone.
func rssMiB(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib >> 10
		}
	}
	return 0
}

// alive counts brokers that have not lived through it.
func (c *campaign) alive(r *rig) {
	r.Helper()
	for i := range r.brokers.Brokers() {
		kills, err := r.brokers.OutOfMemory(i)
		if err != nil {
			r.Fatal(err)
		}
		c.count("out_of_memory", kills)
		if kills > 0 || !r.brokers.Alive(i) {
			c.Broken++
			r.Fatalf("broker %d: out of memory %d times, alive: %t", i+1, kills, r.brokers.Alive(i))
		}
	}
}

// burst is producers that write as fast as they can, and consumers that read
// slowly, on a topic of their own.
type burst struct {
	r     *rig
	bytes atomic.Int64 // acknowledged
}

const (
	burstTopic      = "burst"
	burstPartitions = 6
	burstValueBytes = 64 << 10
)

func newBurst(r *rig) *burst {
	r.Helper()
	retention := "67108864"
	created, err := r.admin.CreateTopics(r.within(30*time.Second), burstPartitions, 3, map[string]*string{"retention.bytes": &retention}, burstTopic)
	if err = errors.Join(err, created.Error()); err != nil {
		r.Fatal(err)
	}
	b := &burst{r: r}
	b.fill()
	return b
}

// fill gives the first fetch of each consumer something to be large of: 8 MiB of
// each partition.
func (b *burst) fill() {
	b.r.Helper()
	client := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if client == nil {
		return
	}
	defer client.Close()
	records := make([]*kgo.Record, burstPartitions*(8<<20)/burstValueBytes)
	for i := range records {
		records[i] = &kgo.Record{Topic: burstTopic, Partition: int32(i % burstPartitions), Value: make([]byte, burstValueBytes)}
	}
	if err := client.ProduceSync(b.r.within(2*time.Minute), records...).FirstErr(); err != nil {
		b.r.Fatalf("fill the topic of the burst: %v", err)
	}
}

// run lasts for a while.
func (b *burst) run(length time.Duration) {
	ctx, cancel := context.WithTimeout(b.r.Context(), length)
	defer cancel()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() { b.produce(ctx) })
	}
	for range 20 {
		clients.Go(func() { b.consume(ctx) })
	}
	clients.Wait()
}

func (b *burst) client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(b.r.brokers.Bootstrap()...))...)
	if err != nil {
		b.r.Errorf("a client of the burst: %v", err)
		return nil
	}
	return client
}

// produce keeps requests of some megabytes under way.
func (b *burst) produce(ctx context.Context) {
	client := b.client(kgo.DefaultProduceTopic(burstTopic), kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedBytes(16<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if client == nil {
		return
	}
	defer client.Close()
	value := make([]byte, burstValueBytes)
	for ctx.Err() == nil {
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err == nil {
				b.bytes.Add(int64(len(value)))
			}
		})
	}
}

// consume asks for all there is and takes 64 KiB a second of it.
func (b *burst) consume(ctx context.Context) {
	client := b.client(
		kgo.ConsumeTopics(burstTopic), kgo.FetchMaxBytes(50<<20), kgo.FetchMaxPartitionBytes(50<<20), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequestTimeoutOverhead(time.Minute),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &slowConn{Conn: conn}, err
		}),
	)
	if client == nil {
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx)
	}
}

// slowConn reads 6 KiB at a time, ten times a second, beyond the first few KiB.
type slowConn struct {
	net.Conn
	read int
}

func (s *slowConn) Read(p []byte) (int, error) {
	const free, chunk, every = 16 << 10, 6 << 10, 100 * time.Millisecond
	if s.read > free {
		tick := time.NewTimer(every)
		defer tick.Stop()
		<-tick.C
	}
	n, err := s.Conn.Read(p[:min(len(p), chunk)])
	s.read += n
	return n, err
}
