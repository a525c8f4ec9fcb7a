package partition

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/trace"
)

// TestRestartedLeaderWaitsForItsRegistration is R1: the metadata that a process
// finds at its start names the one before it.
func TestRestartedLeaderWaitsForItsRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.crash(1)
		w.start(1)
		w.brokers[1].table.Apply(w.img)
		if _, leads := w.replica(1).Lead(); leads {
			t.Error("leads in the epoch of the process before")
		}
		if _, err := w.brokers[1].table.OpenFollow(OpenRequest{Leader: 2, TP: w.tp, Epoch: 5}); !errors.Is(err, ErrNotReady) {
			t.Errorf("follows before it is registered: %v", err)
		}
	})
}

// TestEpochsOnlyGrow is R2 on both channels.
func TestEpochsOnlyGrow(t *testing.T) {
	t.Parallel()
	open := func(w *world, id, leader cluster.BrokerID, epoch cluster.Epoch) error {
		w.session++
		_, err := w.brokers[id].table.OpenFollow(OpenRequest{Leader: leader, TP: w.tp, Epoch: epoch, Session: w.session, Sink: w.brokers[id].acks})
		return err
	}
	tests := []struct {
		name string
		do   func(w *world) (leads bool)
	}{
		{name: "metadata of an epoch that a stream has passed", do: func(w *world) bool {
			if err := open(w, 2, 3, 5); err != nil {
				w.t.Error(err)
			}
			w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)}) // broker 2 leads epoch 1
			_, leads := w.replica(2).Lead()
			return leads
		}},
		{name: "stream of an epoch that metadata has passed", do: func(w *world) bool {
			w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
			if err := open(w, 3, 1, 0); !errors.Is(err, ErrFencedEpoch) {
				w.t.Errorf("open in epoch 0: %v", err)
			}
			_, leads := w.replica(3).Lead()
			return leads
		}},
		{name: "stream of the own epoch", do: func(w *world) bool {
			if err := open(w, 1, 2, 0); !errors.Is(err, ErrFencedEpoch) {
				w.t.Errorf("open in epoch 0: %v", err)
			}
			_, leads := w.replica(1).Lead()
			return !leads
		}},
		{name: "stream of a newer epoch ends the own", do: func(w *world) bool {
			p := w.mustProduce(1, AcksAll, batch(1, "a"))
			if err := open(w, 1, 2, 1); err != nil {
				w.t.Error(err)
			}
			if !errors.Is(p.Err(), ErrNotLeader) {
				w.t.Errorf("pending append: %s", outcome(p))
			}
			_, leads := w.replica(1).Lead()
			return leads
		}},
		{name: "metadata that is older than known", do: func(w *world) bool {
			r := w.replica(1)
			old, img := r.meta, w.img
			w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
			r.become(img, old, true) // K5
			return r.meta.part == old.part
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if w := newWorld(t, 3, nil); tt.do(w) {
					t.Error("the older epoch won")
				}
			})
		})
	}
}

// TestNewEpochIsInTheVector is K4: also without a record.
func TestNewEpochIsInTheVector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
		r := w.replica(2)
		epochs := r.log.Epochs()
		if len(epochs) == 0 || epochs[len(epochs)-1].Epoch != 1 || epochs[len(epochs)-1].Start != 0 {
			t.Errorf("epochs %+v", epochs)
		}
		for _, tt := range []struct {
			current, epoch cluster.Epoch
			want           EpochEnd
			wantErr        error
		}{
			{current: 1, epoch: 1, want: EpochEnd{Epoch: 1, End: 2}},
			{current: 1, epoch: 7, want: EpochEnd{Epoch: cluster.NoEpoch, End: -1}},
			{current: 0, epoch: 1, want: EpochEnd{Epoch: cluster.NoEpoch, End: -1}, wantErr: ErrFencedEpoch},
		} {
			if r.Info().LogEndOffset == 0 {
				w.mustProduce(2, AcksLeader, batch(2, "a"))
			}
			got, err := r.OffsetForEpoch(tt.current, tt.epoch)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("offset for epoch %d: %+v, %v, want %+v, %v", tt.epoch, got, err, tt.want, tt.wantErr)
			}
		}
	})
}

// TestLeadershipIsOfOneEpoch asks with the epoch before.
func TestLeadershipIsOfOneEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		session := w.follow(1, 2)
		r := w.replica(1)
		const other = 7
		if err := r.FollowerAck(2, other, session, 0, 0, trace.Ack{}); !errors.Is(err, ErrStaleSession) {
			t.Errorf("ack: %v", err)
		}
		if _, err := r.CutFor(other, FollowerPosition{}); !errors.Is(err, ErrNotLeader) {
			t.Errorf("cut: %v", err)
		}
		if _, err := r.ReadForFollower(other, 0, 1); !errors.Is(err, ErrNotLeader) {
			t.Errorf("read: %v", err)
		}
		if _, _, ok := r.Position(other); ok {
			t.Error("position of another epoch")
		}
		if _, err := r.ReadForFollower(0, 9, 1); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("read beyond the end: %v", err)
		}
	})
}

// TestRoleChangesWakeWatchers: a fetch that waits must learn of each.
func TestRoleChangesWakeWatchers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		id   cluster.BrokerID
		do   func(w *world)
	}{
		{name: "leads", id: 2, do: func(w *world) { w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)}) }},
		{name: "leads no more", id: 1, do: func(w *world) { w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)}) }},
		{name: "follows another", id: 3, do: func(w *world) { w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)}) }},
		{name: "fails", id: 1, do: func(w *world) { w.brokers[1].table.failReplica(w.replica(1), "x") }},
		{name: "lease", id: 1, do: func(w *world) { w.brokers[1].table.tick(time.Now().Add(time.Minute)) }},
		{name: "high watermark as follower", id: 2, do: func(w *world) {
			s := w.follow(1, 2)
			w.follow(1, 3)
			w.mustProduce(1, AcksLeader, batch(1, "a"))
			if err := w.ship(1, 2, s); err != nil {
				w.t.Error(err)
			}
			w.brokers[2].table.FollowHighWatermark(w.tp, s, 1)
		}},
		{name: "high watermark as leader", id: 1, do: func(w *world) {
			s2, s3 := w.follow(1, 2), w.follow(1, 3)
			w.mustProduce(1, AcksLeader, batch(1, "a"))
			synctest.Wait()
			if err := errors.Join(w.ship(1, 2, s2), w.ship(1, 3, s3)); err != nil {
				w.t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, nil)
				watcher := NewWatcher()
				w.replica(tt.id).Watch(watcher)
				tt.do(w)
				select {
				case <-watcher.C:
				default:
					t.Error("not woken")
				}
				w.replica(tt.id).Unwatch(watcher)
				if n := len(w.replica(tt.id).watchers); n > 0 {
					t.Errorf("%d watchers left", n)
				}
			})
		})
	}
}

// TestShutdownAnswersAll: nobody waits for a broker that has stopped.
func TestShutdownAnswersAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		p := w.mustProduce(1, AcksAll, batch(1, "a"))
		runFor(t, w.brokers[1].table.Run, time.Second)
		if !errors.Is(p.Err(), ErrNotLeader) {
			t.Errorf("after the end: %s", outcome(p))
		}
	})
}

// TestLeaseAlone: nobody can vouch for a leader that is alone in sync, and only
// members of the in-sync set can for another.
func TestLeaseAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, map[string]string{"min.insync.replicas": "1"})
		table, r := w.brokers[1].table, w.replica(1)
		w.follow(1, 2)
		w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
		time.Sleep(5 * time.Second)
		table.PeerHeard(2)
		if table.tick(time.Now()); r.Info().Suspended {
			t.Error("suspended while all of the in-sync set vouches")
		}
		w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
		if got := r.Info().ISR; !slices.Equal(got, []cluster.BrokerID{1}) {
			t.Fatalf("in sync %v", got)
		}
		table.PeerHeard(2)
		if table.tick(time.Now()); !r.Info().Suspended {
			t.Error("not suspended alone")
		}
	})
}
