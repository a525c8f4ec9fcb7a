package admin

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/pause"
)

// Metadata is asked again after waitFirst, then twice as long each time up to
// waitMost: Kafka has no call that blocks until a topic is ready.
const (
	waitFirst = 10 * time.Millisecond
	waitMost  = 250 * time.Millisecond
)

// defaultTimeoutMillis is what a request says without a deadline.
const defaultTimeoutMillis = 30_000

// Readiness is how much of a topic can be used.
type Readiness struct {
	Partitions int // that the cluster reports
	Leaders    int // that have a leader
	FullISR    int // whose every replica is in sync
}

// NotReadyError is a topic that was not ready in time.
type NotReadyError struct {
	Topic string
	Have  Readiness
	Err   error // the context's
}

// Error says what is missing.
func (e *NotReadyError) Error() string {
	return fmt.Sprintf("topic %q was created but is not ready: %d of %d partitions have a leader, %d a full ISR: %v",
		e.Topic, e.Have.Leaders, e.Have.Partitions, e.Have.FullISR, e.Err)
}

// Unwrap returns the context's error.
func (e *NotReadyError) Unwrap() error { return e.Err }

// WaitTopic returns once every partition has a leader and, when fullISR, every
// replica is in sync, as every broker that answers sees it: the next question,
// or a producer's first, may go to any of them. partitions is how many to
// expect; below 1 means as many as the cluster reports.
func (c *Client) WaitTopic(ctx context.Context, name string, partitions int, fullISR bool) (Readiness, error) {
	var have Readiness
	ready := func(md kadm.Metadata) bool {
		have := readiness(md.Topics[name])
		return have.Partitions > 0 && have.Partitions >= partitions && have.Leaders == have.Partitions &&
			(!fullISR || have.FullISR == have.Partitions)
	}
	err := poll(ctx, func() (bool, error) {
		md, err := c.metadata(ctx)
		if err == nil { // a question that the deadline cut short unlearns nothing
			have = readiness(md.Topics[name])
		}
		return err == nil && ready(md) && c.agree(ctx, md, ready), err
	})
	if err != nil && ctx.Err() != nil {
		return have, &NotReadyError{Topic: name, Have: have, Err: ctx.Err()}
	}
	return have, err
}

// agreeTimeout bounds how long a broker is asked whether it agrees. One that
// gives no answer has no say: it learns everything before it serves again.
const agreeTimeout = time.Second

// agree asks all brokers at once whether they see it the same way.
func (c *Client) agree(ctx context.Context, md kadm.Metadata, see func(kadm.Metadata) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	var differ atomic.Bool
	var wg sync.WaitGroup
	for _, broker := range md.Brokers {
		wg.Go(func() {
			resp, err := c.ask(ctx, broker.NodeID, wholeMetadata)
			if err == nil && !see(metadataOf(resp.(*kmsg.MetadataResponse))) {
				differ.Store(true)
			}
		})
	}
	wg.Wait()
	return !differ.Load()
}

// WaitBrokers returns once the cluster reports at least n brokers.
func (c *Client) WaitBrokers(ctx context.Context, n int) error {
	return poll(ctx, func() (bool, error) {
		ids, err := c.Brokers(ctx)
		return len(ids) >= n, err
	})
}

// WaitTopicGone returns once no broker that answers reports the topic.
func (c *Client) WaitTopicGone(ctx context.Context, name string) error {
	gone := func(md kadm.Metadata) bool { return !md.Topics.Has(name) }
	return poll(ctx, func() (bool, error) {
		md, err := c.metadata(ctx)
		return err == nil && gone(md) && c.agree(ctx, md, gone), err
	})
}

func readiness(t kadm.TopicDetail) Readiness {
	have := Readiness{Partitions: len(t.Partitions)}
	for _, p := range t.Partitions {
		if p.Leader >= 0 {
			have.Leaders++
		}
		if len(p.Replicas) > 0 && len(p.ISR) == len(p.Replicas) {
			have.FullISR++
		}
	}
	return have
}

// poll calls done until it says so, fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for again := waitFirst; ; again = min(2*again, waitMost) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if !pause.For(ctx, again) {
			return ctx.Err()
		}
	}
}

// timeoutMillis returns how long the broker may work on a request.
func timeoutMillis(ctx context.Context) int32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return defaultTimeoutMillis
	}
	return int32(min(max(time.Until(deadline).Milliseconds(), 1), defaultTimeoutMillis))
}
