//go:build peers

package peers

import (
	"context"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// peer is a cluster of three servers.
type peer interface {
	name() string
	pids() []int
	// firstAck creates a topic of one partition and returns when a record of it
	// is acked.
	firstAck(t *testing.T)
	// killALeader sends to a partition, kills its leader, and returns the longest
	// time between two acks. The cluster is whole again when it returns.
	killALeader(t *testing.T) time.Duration
}

// broker is a peer that speaks the Kafka protocol.
type broker interface {
	peer
	bootstrap() []string
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
func (c chronik) firstAck(t *testing.T)                   { produceOne(t, c) }
func (c chronik) killALeader(t *testing.T) time.Duration  { return killALeader(t, c) }

func (c chronik) pids() []int {
	ids := make([]int, 0, 3)
	for _, b := range c.Brokers() {
		ids = append(ids, b.PID)
	}
	return ids
}

// within bounds what waits for a cluster.
func within(t *testing.T) context.Context { return harness.Within(t, 2*time.Minute) }
