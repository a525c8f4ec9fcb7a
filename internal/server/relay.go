package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// Times of the relay.
const (
	// relayAfter is how long the controller is not heard from before others are
	// asked for metadata: the lease of this broker's leaderships, after which
	// clients wait to be told who leads.
	relayAfter    = partition.DefaultLease
	relayInterval = 200 * time.Millisecond
	relayTimeout  = 500 * time.Millisecond
)

// relay gets metadata from other brokers while this one hears no controller. A
// broker that is cut off from the controller alone gets no metadata log from it,
// and would go on naming itself the leader of partitions that others lead by
// now. What others have applied is committed, so it may be acted on before the
// log comes.
type relay struct {
	b *broker
	// got holds the newest image from another broker.
	got *board
}

func newRelay(b *broker) *relay { return &relay{b: b, got: newBoard()} }

// watch returns the newest image there is, and channels one of which is closed
// when there is a newer one.
func (r *relay) watch() (img *cluster.Image, log, relayed <-chan struct{}) {
	img, log = r.b.meta.Watch()
	other, relayed := r.got.Watch()
	if other.Index() > img.Index() {
		img = other
	}
	return img, log, relayed
}

// Run asks one broker after the other while no controller is heard from.
func (r *relay) Run(ctx context.Context) error {
	ticker := time.NewTicker(relayInterval)
	defer ticker.Stop()
	for attempt := 0; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		others := r.others()
		if len(others) == 0 || r.b.table.ControllerSilence() < relayAfter {
			continue
		}
		r.ask(ctx, others[attempt%len(others)])
		attempt++
	}
}

// others are whom to ask: those that are heard from, or all.
func (r *relay) others() []cluster.BrokerID {
	var all, heard []cluster.BrokerID
	for _, p := range r.b.metaPeers() {
		if p.ID == r.b.c.NodeID {
			continue
		}
		all = append(all, p.ID)
		if r.b.table.HeardFrom(p.ID, silentAfter) {
			heard = append(heard, p.ID)
		}
	}
	if len(heard) > 0 {
		return heard
	}
	return all
}

func (r *relay) ask(ctx context.Context, id cluster.BrokerID) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	have, _, _ := r.watch()
	img, err := r.b.client.NewerImage(ctx, id, have.Index())
	if err != nil || img == nil {
		return // the next one may know more
	}
	r.b.log.Info("metadata from another broker: no controller is heard from",
		slog.Int("broker", int(id)), slog.Uint64("index", img.Index()))
	r.got.publish(img)
}
