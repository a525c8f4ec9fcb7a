package testcluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// little is less than the reserve that appends leave alone.
const little = 64 << 20

// TestFullDisks fills the disk of one broker: others lead what it led, and it
// leaves the in-sync sets until it has room again.
func TestFullDisks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		victim func(w *world) cluster.BrokerID
		// stall bounds how long an acknowledgement waits: a full follower is one
		// that makes no progress, a full leader says so with its next heartbeat.
		stall time.Duration
	}{
		{name: "a follower's", victim: (*world).follower, stall: 4 * time.Second},
		{name: "a leader's", victim: (*world).leader, stall: 4 * time.Second},
		{name: "the controller's", victim: (*world).controller, stall: 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, pickSeed(t), 3, func(w *world) {
				w.progress(5*time.Second, 20)
				id := tt.victim(w)
				w.load.forget()
				w.c.Disk(id).Fill(little)
				w.await(tt.stall+time.Second, fmt.Sprintf("broker %d to leave", id), func(ctx context.Context) error {
					return w.inSync(ctx, id, false)
				})
				w.progress(2*time.Second, 20)
				w.pass(20 * time.Second)
				if err := w.inSync(w.t.Context(), id, false); err != nil {
					w.t.Errorf("broker %d came back without room: %v", id, err)
				}
				worst := w.load.slowest()
				w.t.Logf("broker %d: the slowest acknowledgement took %s", id, worst)
				if worst > tt.stall {
					w.t.Errorf("broker %d: an acknowledgement took %s, at most %s", id, worst, tt.stall)
				}
				w.load.forget()
				w.c.Disk(id).Fill(Space)
				w.preferred()
				w.pass(time.Second)
				if worst := w.load.slowest(); worst > time.Second {
					w.t.Errorf("broker %d returned: an acknowledgement took %s", id, worst)
				}
			})
		})
	}
}

// TestFullDisksEverywhere fills all disks: leaderships do not go round, as
// nobody has room, consumers read on, and producers go on when there is room.
func TestFullDisksEverywhere(t *testing.T) {
	t.Parallel()
	inWorld(t, pickSeed(t), 3, func(w *world) {
		w.progress(5*time.Second, 20)
		w.preferred()
		epochs := w.epochs()
		for _, id := range w.c.Brokers() {
			w.c.Disk(id).Fill(little)
		}
		w.pass(10 * time.Second)
		for p, now := range w.epochs() {
			if now > epochs[p]+1 { // a move to one that found out a moment later
				w.t.Errorf("partition %d: leader epoch went from %d to %d", p, epochs[p], now)
			}
		}
		for _, id := range w.c.Brokers() {
			w.c.Disk(id).Fill(Space)
		}
		w.progress(5*time.Second, 20)
	})
}
