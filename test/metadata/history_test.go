package metadata

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/twmb/franz-go/pkg/kerr"
)

// history is what the clients did and saw. It is safe for concurrent use.
type history struct {
	began time.Time

	mu      sync.Mutex
	ops     []porcupine.Operation // guarded by mu
	leaders []sighting            // guarded by mu
	counts  map[string]int        // guarded by mu; operations by kind and outcome
	tags    int                   // guarded by mu; how many were given away
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

// newTag returns a tag for a creation.
func (h *history) newTag() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tags++
	return fmt.Sprint(1_000_000_000 + h.tags)
}

func (h *history) add(begin int64, c call, a answer) {
	end := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	outcome := "ok"
	if a.Unknown {
		outcome, end = "unknown", math.MaxInt64
	}
	h.counts[fmt.Sprint(c.Kind, " ", outcome)]++
	h.ops = append(h.ops, porcupine.Operation{ClientId: c.Broker, Call: begin, Return: end, Input: c, Output: a})
	if (c.Kind == create || c.Kind == remove) && !a.Unknown {
		c.Kind = acked
		h.ops = append(h.ops, porcupine.Operation{ClientId: c.Broker, Call: begin, Return: end, Input: c, Output: a})
	}
}

func (h *history) dropped() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts["without effect"]++
}

// create creates a topic through a broker.
func (h *history) create(ctx context.Context, a asker, broker int, topic string) {
	c := call{Kind: create, Topic: topic, Broker: broker, Tag: h.newTag()}
	begin := h.now()
	id, code, err := a.create(ctx, topic, c.Tag)
	switch {
	case err != nil && notSent(err), errors.Is(code, kerr.InvalidReplicationFactor):
		h.dropped() // too few brokers are live
	case errors.Is(code, kerr.TopicAlreadyExists):
		h.add(begin, call{Kind: refused, Topic: topic, Broker: broker}, answer{Present: true})
	case err != nil || code != nil:
		h.add(begin, c, answer{Unknown: true})
	default:
		h.add(begin, c, answer{Present: true, Tag: c.Tag, ID: id})
	}
}

// remove deletes a topic through a broker.
func (h *history) remove(ctx context.Context, a asker, broker int, topic string) {
	c := call{Kind: remove, Topic: topic, Broker: broker}
	begin := h.now()
	id, code, err := a.remove(ctx, topic)
	switch {
	case err != nil && notSent(err):
		h.dropped()
	case errors.Is(code, kerr.UnknownTopicOrPartition):
		h.add(begin, call{Kind: refused, Topic: topic, Broker: broker}, answer{})
	case err != nil || code != nil:
		h.add(begin, c, answer{Unknown: true})
	default:
		h.add(begin, c, answer{Present: true, ID: id})
	}
}

// readTag reads a topic's configuration from a broker.
func (h *history) readTag(ctx context.Context, a asker, broker int, topic string) {
	begin := h.now()
	tag, err := a.tag(ctx, topic)
	if err != nil {
		h.dropped()
		return
	}
	h.add(begin, call{Kind: read, Topic: topic, Broker: broker}, answer{Present: tag != "", Tag: tag})
}

// readTopic reads a topic's id, and who leads it, from a broker.
func (h *history) readTopic(ctx context.Context, a asker, broker int, topic string) {
	begin := h.now()
	got, err := a.describe(ctx, topic)
	switch {
	case err != nil:
		h.dropped()
	case got == nil:
		h.add(begin, call{Kind: read, Topic: topic, Broker: broker}, answer{})
	default:
		id := text(got.TopicID)
		h.add(begin, call{Kind: read, Topic: topic, Broker: broker}, answer{Present: true, ID: id})
		p := got.Partitions[0]
		h.mu.Lock()
		h.leaders = append(h.leaders, sighting{
			begin: begin, end: h.now(), broker: broker, id: id,
			leader: p.Leader, epoch: p.LeaderEpoch, isr: p.ISR, replicas: p.Replicas,
		})
		h.mu.Unlock()
	}
}
