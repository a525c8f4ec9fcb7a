package testcluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// inSync is nil if a broker is in the in-sync set of every partition, or of none.
func (w *world) inSync(ctx context.Context, id cluster.BrokerID, want bool) error {
	_, detail, err := w.metadata(ctx)
	if err != nil {
		return err
	}
	for _, p := range detail.Partitions.Sorted() {
		if slices.Contains(p.ISR, int32(id)) != want {
			return fmt.Errorf("partition %d: in sync %v", p.Partition, p.ISR)
		}
	}
	return nil
}

// TestSlowDisks freezes or slows the disk of one broker: acknowledgements wait no
// longer than the in-sync policy allows, the broker leaves the in-sync sets, and
// is back in them soon after its disk is well.
func TestSlowDisks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		victim func(w *world) cluster.BrokerID
		harm   func(d *Disk)
		// leaves is how long the broker may stay in sync, stall how long an
		// acknowledgement may wait for that: 3 s without progress as a follower, and
		// as a leader as long until it says so and its leaderships are moved away.
		leaves, stall time.Duration
	}{
		{
			name: "a follower's disk freezes", victim: (*world).follower, harm: (*Disk).Freeze,
			leaves: 4 * time.Second, stall: 4 * time.Second,
		},
		{
			name: "a leader's disk freezes", victim: (*world).leader, harm: (*Disk).Freeze,
			leaves: 4 * time.Second, stall: 4 * time.Second,
		},
		{
			name: "the controller's disk freezes", victim: (*world).controller, harm: (*Disk).Freeze,
			leaves: 4 * time.Second, stall: 4 * time.Second,
		},
		{
			name: "every sync of a follower's disk takes long", victim: (*world).follower,
			harm:   func(d *Disk) { d.SetSync(4 * time.Second) },
			leaves: 4500 * time.Millisecond, stall: 4 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, pickSeed(t), 3, func(w *world) {
				w.progress(5*time.Second, 20)
				id := tt.victim(w)
				w.load.forget()
				tt.harm(w.c.Disk(id))
				w.await(tt.leaves, fmt.Sprintf("broker %d to leave", id), func(ctx context.Context) error {
					return w.inSync(ctx, id, false)
				})
				w.progress(2*time.Second, 20)
				w.pass(5 * time.Second)
				if worst := w.load.slowest(); worst <= tt.stall {
					w.t.Logf("broker %d: the slowest acknowledgement took %s", id, worst)
				} else {
					w.t.Errorf("broker %d: an acknowledgement took %s, at most %s", id, worst, tt.stall)
				}
				if w.controller() == id {
					w.t.Errorf("broker %d is still the controller", id)
				}
				w.load.forget()
				w.c.Disk(id).Thaw()
				w.c.Disk(id).SetSync(w.c.o.Sync)
				w.await(10*time.Second, fmt.Sprintf("broker %d to return", id), func(ctx context.Context) error {
					return w.inSync(ctx, id, true)
				})
				w.pass(2 * time.Second)
				if worst := w.load.slowest(); worst > time.Second {
					w.t.Errorf("broker %d returned: an acknowledgement took %s", id, worst)
				}
			})
		})
	}
}
