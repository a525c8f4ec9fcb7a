//go:build peers

package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// peer is a cluster of three brokers.
type peer interface {
	name() string
	bootstrap() []string
	// pids are those of the brokers, in the order of bootstrap.
	pids() []int
	// kill ends a broker with SIGKILL, revive starts it again.
	kill(i int) error
	revive(ctx context.Context, i int) error
}

// chronik is the binary under test.
type chronik struct{ *devcluster.Cluster }

func startChronik(t *testing.T) chronik {
	t.Helper()
	return chronik{harness.Start(t, devcluster.Options{Brokers: 3})}
}

func (chronik) name() string          { return "chronik" }
func (c chronik) bootstrap() []string { return c.Bootstrap() }
func (c chronik) kill(i int) error    { return c.Kill(i) }

func (c chronik) revive(ctx context.Context, i int) error { return c.Restart(ctx, i) }

func (c chronik) pids() []int {
	ids := make([]int, 0, 3)
	for _, b := range c.Brokers() {
		ids = append(ids, b.PID)
	}
	return ids
}

// rssMiB is the resident memory of each broker.
func rssMiB(t *testing.T, p peer) []float64 {
	t.Helper()
	var all []float64
	for _, pid := range p.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.ParseFloat(string(bytes.Fields(text)[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pages*float64(os.Getpagesize())/(1<<20))
	}
	return all
}

// cpuSeconds is what all brokers have used since they started.
func cpuSeconds(t *testing.T, p peer) float64 {
	t.Helper()
	const hertz = 100 // of /proc, on every Linux that Go runs on
	sum := 0.0
	for _, pid := range p.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] { // user and system time
			ticks, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += ticks / hertz
		}
	}
	return sum
}

// newClient is a client whose defaults cost nobody time: no linger, no
// compression, metadata as soon as it is needed.
func newClient(t *testing.T, p peer, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(p.bootstrap()...), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
