package partition

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/status"
)

// TestAFullLeader refuses appends and nothing else, and says who leads as soon as
// somebody else does.
func TestAFullLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		w.brokers[1].table.lowSpace.Store(true)
		if !w.brokers[1].table.LowSpace() {
			t.Error("does not say that its disk is full")
		}
		_, err := w.produce(1, AcksLeader, batch(1, "b"))
		if !errors.Is(err, ErrDiskFull) || !errors.Is(err, ErrStorage) || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("error %v, want %v and what to do", err, ErrDiskFull)
		}
		if info, ok := w.replica(1).Lead(); !ok || info.LogEnd != 1 {
			t.Errorf("leads %v to %d, want it to serve what it has", ok, info.LogEnd)
		}
		w.commit(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: w.tp, Leader: 2, Drop: true}}})
		_, err = w.produce(1, AcksLeader, batch(1, "b"))
		var where *Error
		if !errors.Is(err, ErrNotLeader) || !errors.As(err, &where) || where.Leader != 2 {
			t.Errorf("error %v, want that broker 2 leads", err)
		}
	})
}

// TestAFullFollower refuses data. Once it is out of the in-sync set it refuses to
// follow at all, until it has room: it could join while nothing is written.
func TestAFullFollower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		w.mustProduce(1, AcksLeader, batch(1, "a"))
		synctest.Wait()
		w.brokers[2].table.lowSpace.Store(true)
		session := w.follow(1, 2)
		if err := w.ship(1, 2, session); !errors.Is(err, ErrDiskFull) {
			t.Errorf("data: %v, want %v", err, ErrDiskFull)
		}
		ahead := cluster.PartitionEpoch(0)
		open := func() error {
			info, _ := w.replica(1).Lead()
			w.session++
			_, err := w.brokers[2].table.OpenFollow(OpenRequest{
				Leader: 1, TP: w.tp, Epoch: info.Epoch, PartitionEpoch: ahead, MetaIndex: info.MetaIndex, Session: w.session, Sink: w.brokers[2].acks,
			})
			return err
		}
		if err := open(); err != nil {
			t.Errorf("a member of the in-sync set: %v", err)
		}
		leader, _ := w.img.Broker(1)
		third, _ := w.img.Broker(3)
		w.commit(cluster.AlterISR{Broker: 1, BrokerEpoch: leader.Epoch, Changes: []cluster.ISRChange{{
			TP: w.tp, ISR: []cluster.ISRMember{{ID: 1, Epoch: leader.Epoch}, {ID: 3, Epoch: third.Epoch}},
		}}})
		if err := open(); !errors.Is(err, ErrDiskFull) {
			t.Errorf("outside of the in-sync set: %v, want %v", err, ErrDiskFull)
		}
		w.brokers[2].table.lowSpace.Store(false)
		if err := open(); err != nil {
			t.Errorf("with room again: %v", err)
		}
		room := w.brokers[2].table.tails.room
		if err := room.Take(t.Context(), 1<<30); err != nil { // more than there is
			t.Fatal(err)
		}
		waiting, stop := context.WithTimeout(t.Context(), hungDisk+time.Second)
		defer stop()
		if err := room.Take(waiting, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := open(); !errors.Is(err, ErrBusy) {
			t.Errorf("with a disk that hangs: %v, want %v", err, ErrBusy)
		}
		ahead = 1000
		if err := open(); !errors.Is(err, ErrNotReady) {
			t.Errorf("not knowing whether it is in sync: %v, want %v", err, ErrNotReady)
		}
		room.Give(1 << 30)
		time.Sleep(2 * time.Second)
		if err := open(); err != nil {
			t.Errorf("with a disk that goes on: %v", err)
		}
	})
}

// TestWhatALinkKnowsComesFirst: that a disk is full is the cause of there being no
// session.
func TestWhatALinkKnowsComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		session := w.follow(1, 2)
		r := w.replica(1)
		r.FollowerClosed(2, session, "disk full: free some space")
		r.FollowerState(2, status.StateDiskFull, "disk full: free some space")
		w.commit(cluster.FenceBroker{ID: 2, Epoch: w.epoch(2)})
		f := r.Info().Followers[0]
		if f.State != status.StateDiskFull || !strings.HasPrefix(f.Reason, "disk full: free some space; ") {
			t.Errorf("follower is shown as %s: %s", f.State, f.Reason)
		}
	})
}

// TestSpaceComesBackWithAMargin: a disk at its limit does not take an append now
// and then.
func TestSpaceComesBackWithAMargin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		b := w.brokers[1]
		const some = 4 << 20 // for what the logs themselves write
		reserve := b.table.o.ReserveBytes
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.table.RunStorage(ctx) }()
		for _, step := range []struct {
			free int64
			low  bool
		}{
			{reserve + some, false},
			{reserve - 1, true},
			{reserve + some, true},
			{reserve + reserve/8 - 1, true},
			{reserve + reserve/8 + some, false},
			{reserve + some, false},
		} {
			b.disk.SetFree(step.free)
			timer := time.NewTimer(2 * flushInterval)
			<-timer.C
			if got := b.table.LowSpace(); got != step.low {
				t.Errorf("%d bytes free of a reserve of %d: low %v, want %v", step.free, reserve, got, step.low)
			}
		}
		b.disk.SetFree(1 << 40)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// epoch is a broker's registration.
func (w *world) epoch(id cluster.BrokerID) cluster.BrokerEpoch {
	b, _ := w.img.Broker(id)
	return b.Epoch
}
