package partition

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/vfs"
)

func TestAppendAloneIsAckedOnceDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		p := w.mustProduce(1, AcksAll, batch(3, "a"))
		if got := p.BaseOffset(); got != 0 {
			t.Errorf("base offset %d, want 0", got)
		}
		synctest.Wait()
		if got := outcome(p); got != "ok" {
			t.Fatalf("after the sync round: %s", got)
		}
		w.crash(1)
		w.start(1)
		w.register(1)
		if got, want := w.contents(1), []string{"0=a-0", "1=a-1", "2=a-2"}; !slices.Equal(got, want) {
			t.Errorf("after a power loss %q, want %q", got, want)
		}
	})
}

// TestHighWatermarkWaitsForEveryInSyncDisk is I2 through all layers.
func TestHighWatermarkWaitsForEveryInSyncDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		s2, s3 := w.follow(1, 2), w.follow(1, 3)
		p := w.mustProduce(1, AcksAll, batch(1, "a"))
		one := w.mustProduce(1, AcksLeader, batch(1, "b"))
		synctest.Wait()
		if got := outcome(one); got != "ok" {
			t.Errorf("acks=1 after the leader's sync: %s", got)
		}
		if err := w.ship(1, 2, s2); err != nil {
			t.Fatal(err)
		}
		if got := outcome(p); got != "waiting" {
			t.Errorf("with broker 3 missing: %s", got)
		}
		if res, err := w.replica(1).Read(ReadRequest{MaxBytes: 1 << 20, CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch}); err != nil || len(res.Batches) > 0 {
			t.Errorf("consumer sees %d uncommitted batches, error %v", len(res.Batches), err)
		}
		if err := w.ship(1, 3, s3); err != nil {
			t.Fatal(err)
		}
		if got := outcome(p); got != "ok" {
			t.Errorf("with all disks: %s", got)
		}
		if got := w.replica(1).Info().HighWatermark; got != 2 {
			t.Errorf("high watermark %d, want 2", got)
		}
	})
}

// TestAcksOfOldSessionsCountNothing is R4.
func TestAcksOfOldSessionsCountNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, map[string]string{"min.insync.replicas": "2"})
		old := w.follow(1, 2)
		p := w.mustProduce(1, AcksAll, batch(1, "a"))
		w.follow(1, 2)
		if err := w.replica(1).FollowerAck(2, 0, old, 1, 1, trace.Ack{}); !errors.Is(err, ErrStaleSession) {
			t.Errorf("ack of the old session: %v", err)
		}
		synctest.Wait()
		if got := outcome(p); got != "waiting" {
			t.Errorf("acknowledged through a stale session: %s", got)
		}
	})
}

// idempotent is a producer's batch of one record.
func idempotent(sequence int32) record.Batch {
	return record.NewBuilder(0).Producer(7, 0, sequence).Append(nil, []byte("x"), nil, 1).Bytes()
}

// TestDuplicateWaitsForTheOriginal is R13.
func TestDuplicateWaitsForTheOriginal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, map[string]string{"min.insync.replicas": "2"})
		s := w.follow(1, 2)
		first := w.mustProduce(1, AcksAll, idempotent(0))
		again := w.mustProduce(1, AcksAll, idempotent(0))
		synctest.Wait()
		if got := outcome(again); got != "waiting" {
			t.Errorf("duplicate of an uncommitted batch: %s", got)
		}
		if err := w.ship(1, 2, s); err != nil {
			t.Fatal(err)
		}
		if outcome(first) != "ok" || outcome(again) != "ok" || again.BaseOffset() != first.BaseOffset() {
			t.Errorf("first %s at %d, again %s at %d", outcome(first), first.BaseOffset(), outcome(again), again.BaseOffset())
		}
		late := w.mustProduce(1, AcksAll, idempotent(0))
		if got := outcome(late); got != "ok" {
			t.Errorf("duplicate of a committed batch: %s", got)
		}
		if got := w.contents(1); len(got) != 1 {
			t.Errorf("log holds %q", got)
		}
	})
}

// TestProduceRefusals walks K24, K25, K9 and the roles.
func TestProduceRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(w *world) (*Pending, error)
		want error
	}{
		{
			name: "not the leader",
			do:   func(w *world) (*Pending, error) { return w.produce(2, AcksAll, batch(1, "a")) },
			want: ErrNotLeader,
		},
		{
			name: "client in an older epoch",
			do: func(w *world) (*Pending, error) {
				w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
				return w.replica(2).Append(t.Context(), AppendRequest{Batch: batch(1, "a"), Acks: AcksAll, Epoch: 0})
			},
			want: ErrFencedEpoch,
		},
		{
			name: "client in a newer epoch",
			do: func(w *world) (*Pending, error) {
				return w.replica(1).Append(t.Context(), AppendRequest{Batch: batch(1, "a"), Acks: AcksAll, Epoch: 44})
			},
			want: ErrUnknownEpoch,
		},
		{
			name: "batch larger than a file of the write-ahead log",
			do: func(w *world) (*Pending, error) {
				return w.produce(1, AcksAll, batch(1, strings.Repeat("a", 1<<20)))
			},
			want: record.ErrTooLarge,
		},
		{
			name: "too few in sync before the append",
			do: func(w *world) (*Pending, error) {
				w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
				w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
				return w.produce(1, AcksAll, batch(1, "a"))
			},
			want: ErrNotEnoughReplicas,
		},
		{
			name: "too few in sync after the append",
			do: func(w *world) (*Pending, error) {
				p, err := w.produce(1, AcksAll, batch(1, "a"))
				w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
				w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
				return p, err
			},
			want: ErrNotEnoughReplicasAfterAppend,
		},
		{
			name: "acks=1 does not wait for the in-sync set",
			do: func(w *world) (*Pending, error) {
				r := w.replica(1)
				p := pendingFor(5)
				r.mu.Lock()
				r.await(r.lead, p, AppendRequest{Acks: AcksLeader, Deadline: time.Now().Add(time.Hour)})
				r.mu.Unlock()
				w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
				w.commit(cluster.FenceBroker{ID: 3, Epoch: w.brokerEpoch(3)})
				w.mustProduce(1, AcksLeader, batch(5, "a"))
				return p, nil
			},
		},
		{
			name: "leadership lost after the append",
			do: func(w *world) (*Pending, error) {
				p, err := w.produce(1, AcksAll, batch(1, "a"))
				w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
				return p, err
			},
			want: ErrNotLeader,
		},
		{
			name: "deadline",
			do: func(w *world) (*Pending, error) {
				p, err := w.replica(1).Append(t.Context(), AppendRequest{
					Batch: batch(1, "a"), Acks: AcksAll, Epoch: cluster.NoEpoch, Deadline: time.Now().Add(time.Second),
				})
				w.brokers[1].table.tick(time.Now().Add(2 * time.Second))
				return p, err
			},
			want: ErrTimedOut,
		},
		{
			name: "topic deleted after the append",
			do: func(w *world) (*Pending, error) {
				p, err := w.produce(1, AcksAll, batch(1, "a"))
				w.commit(cluster.DeleteTopic{ID: w.tp.TopicID})
				return p, err
			},
			want: ErrRemoved,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, nil)
				for _, b := range w.brokers {
					b.table.ControllerHeard()
				}
				p, err := tt.do(w)
				synctest.Wait()
				if err == nil {
					if outcome(p) == "waiting" {
						t.Fatal("still waiting")
					}
					err = p.Err()
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func (w *world) brokerEpoch(id cluster.BrokerID) cluster.BrokerEpoch {
	b, _ := w.img.Broker(id)
	return b.Epoch
}

// TestFailoverCutsWhatDiverges lets the leader write what nobody has, elects
// another, and brings the old one back (R1, R3, R7).
func TestFailoverCutsWhatDiverges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		s2, s3 := w.follow(1, 2), w.follow(1, 3)
		p := w.mustProduce(1, AcksAll, batch(2, "kept"))
		if err := errors.Join(w.ship(1, 2, s2), w.ship(1, 3, s3)); err != nil {
			t.Fatal(err)
		}
		if outcome(p) != "ok" {
			t.Fatal(outcome(p))
		}
		w.mustProduce(1, AcksLeader, batch(3, "lost"))
		synctest.Wait()
		w.crash(1)
		w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
		if got := w.leader(); got != 2 {
			t.Fatalf("broker %d leads, want 2", got)
		}
		s3 = w.follow(2, 3)
		w.mustProduce(2, AcksLeader, batch(1, "new"))
		if err := w.ship(2, 3, s3); err != nil {
			t.Fatal(err)
		}
		w.start(1)
		w.register(1)
		if _, leads := w.replica(1).Lead(); leads {
			t.Error("restarted broker resumes its old leadership")
		}
		s1 := w.follow(2, 1)
		if err := w.ship(2, 1, s1); err != nil {
			t.Fatal(err)
		}
		want := []string{"0=kept-0", "1=kept-1", "2=new-0"}
		for id := cluster.BrokerID(1); id <= 3; id++ {
			if got := w.contents(id); !slices.Equal(got, want) {
				t.Errorf("broker %d holds %q, want %q", id, got, want)
			}
		}
		// The cut is durable: a power loss does not bring the lost records back.
		w.crash(1)
		w.start(1)
		if got := w.contents(1); !slices.Equal(got, want) {
			t.Errorf("after a power loss broker 1 holds %q, want %q", got, want)
		}
	})
}

// TestFollowerReads serves what a follower knows to be committed. What it has not
// heard of may be at the leader: that is not out of range (KIP-392).
func TestFollowerReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		session := w.follow(1, 2)
		w.follow(1, 3)
		w.mustProduce(1, AcksLeader, batch(2, "a"))
		if err := w.ship(1, 2, session); err != nil {
			t.Fatal(err)
		}
		w.brokers[2].table.FollowHighWatermark(w.tp, session, 1)
		tests := []struct {
			offset int64
			want   error
		}{
			{offset: 0},
			{offset: 1},
			{offset: 2, want: ErrOffsetNotAvailable},
			{offset: 3, want: ErrOffsetNotAvailable},
			{offset: -1, want: ErrOffsetOutOfRange},
		}
		for _, tt := range tests {
			_, err := w.replica(2).Read(ReadRequest{
				Offset: tt.offset, MaxBytes: 1 << 20, AllowFollower: true,
				CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch,
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("offset %d: error %v, want %v", tt.offset, err, tt.want)
			}
		}
	})
}

// TestFollowerRefuses walks R2, R5, R6 and R7 on the follower's side.
func TestFollowerRefuses(t *testing.T) {
	t.Parallel()
	const session = 100
	open := func(w *world, epoch cluster.Epoch, index uint64) error {
		_, err := w.brokers[2].table.OpenFollow(OpenRequest{
			Leader: 1, TP: w.tp, Epoch: epoch, MetaIndex: index, Session: session, Sink: w.brokers[2].acks,
		})
		return err
	}
	dataOf := func(w *world, base int64, epoch cluster.Epoch, b record.Batch) error {
		b.Stamp(base, int32(epoch))
		return w.brokers[2].table.AppendFrom(t.Context(), FollowRequest{TP: w.tp, Session: session, Base: base, PrevEpoch: cluster.NoEpoch, Batches: b})
	}
	data := func(w *world, base int64, prev cluster.Epoch, b record.Batch) error {
		b.Stamp(base, 0)
		return w.brokers[2].table.AppendFrom(t.Context(), FollowRequest{TP: w.tp, Session: session, Base: base, PrevEpoch: prev, Batches: b})
	}
	tests := []struct {
		name string
		do   func(w *world) error
		want error
	}{
		{name: "older epoch", do: func(w *world) error { return errors.Join(open(w, 5, 0), open(w, 4, 0)) }, want: ErrFencedEpoch},
		{name: "partition of metadata to come", do: func(w *world) error {
			w.tp.Partition = 8
			return open(w, 1, 1_000)
		}, want: ErrNotReady},
		{name: "partition that is gone", do: func(w *world) error {
			w.tp.Partition = 8
			return open(w, 1, 0)
		}, want: ErrRemoved},
		{name: "before it is registered", do: func(w *world) error {
			w.crash(2)
			w.start(2)
			return open(w, 0, 0)
		}, want: ErrNotReady},
		{name: "data without a session", do: func(w *world) error { return data(w, 0, cluster.NoEpoch, batch(1, "a")) }, want: ErrStaleSession},
		{name: "gap", do: func(w *world) error { return errors.Join(open(w, 0, 0), data(w, 3, cluster.NoEpoch, batch(1, "a"))) }, want: ErrDiverged},
		{name: "overlap", do: func(w *world) error {
			return errors.Join(open(w, 0, 0), data(w, 0, cluster.NoEpoch, batch(2, "a")), data(w, 1, 0, batch(1, "b")))
		}, want: ErrDiverged},
		{name: "another predecessor", do: func(w *world) error {
			return errors.Join(open(w, 0, 0), data(w, 0, cluster.NoEpoch, batch(2, "a")), data(w, 2, 0, batch(1, "b")))
		}, want: ErrDiverged},
		{name: "bytes damaged on the way", do: func(w *world) error {
			b := batch(1, "a")
			b[len(b)-1]++
			return errors.Join(open(w, 0, 0), data(w, 0, cluster.NoEpoch, b))
		}, want: ErrDiverged},
		{name: "gap within a frame", do: func(w *world) error {
			second := batch(1, "b")
			second.Stamp(5, 0)
			return errors.Join(open(w, 0, 0), data(w, 0, cluster.NoEpoch, append(batch(2, "a"), second...)))
		}, want: ErrDiverged},
		{name: "epochs within a frame go back", do: func(w *world) error {
			first, second := batch(2, "a"), batch(1, "b")
			second.Stamp(2, 0)
			first = append(first, second...)
			return errors.Join(open(w, 4, 0), dataOf(w, 0, 4, first))
		}, want: ErrDiverged},
		{name: "epoch after the session's", do: func(w *world) error {
			return errors.Join(open(w, 4, 0), dataOf(w, 0, 5, batch(2, "a")))
		}, want: ErrDiverged},
		{name: "frame and batch disagree on the base", do: func(w *world) error {
			b := batch(2, "a")
			b.Stamp(7, 0)
			return errors.Join(open(w, 0, 0), w.brokers[2].table.AppendFrom(t.Context(), FollowRequest{TP: w.tp, Session: session, Batches: b}))
		}, want: ErrDiverged},
		{name: "session of a leader that the metadata has replaced", do: func(w *world) error {
			err := open(w, 0, 0)
			w.commit(cluster.FenceBroker{ID: 1, Epoch: w.brokerEpoch(1)})
			return errors.Join(err, data(w, 0, cluster.NoEpoch, batch(1, "a")))
		}, want: ErrStaleSession},
		{name: "cut below the high watermark", do: func(w *world) error {
			err := errors.Join(open(w, 0, 0), data(w, 0, cluster.NoEpoch, batch(2, "a")))
			w.brokers[2].table.FollowHighWatermark(w.tp, session, 2)
			_, cutErr := w.brokers[2].table.TruncateFollow(t.Context(), w.tp, session, Cut{To: 1, Needed: true})
			return errors.Join(err, cutErr)
		}, want: ErrTruncateCommitted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, nil)
				if err := tt.do(w); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// TestLeaseEndsUselessLeadership is §3.7: nobody listens for four seconds. Until
// another broker may lead, whoever is refused is not told.
func TestLeaseEndsUselessLeadership(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		table, began := w.brokers[1].table, time.Now()
		table.ControllerHeard()
		w.follow(1, 2)
		s3 := w.follow(1, 3)
		at := func(d time.Duration, heard ...cluster.BrokerID) {
			time.Sleep(d - time.Since(began))
			for _, id := range heard {
				table.PeerHeard(id)
			}
			table.tick(time.Now())
		}
		produce := func(what string) *Pending {
			p, err := w.produce(1, AcksLeader, batch(1, what))
			if err != nil {
				t.Fatalf("produce %s: %v", what, err)
			}
			return p
		}
		refused := func(what string, p *Pending) {
			if !errors.Is(p.Err(), ErrNotLeader) {
				t.Errorf("%s: %s, want not leader", what, outcome(p))
			}
		}
		waiting := func(what string, p *Pending) {
			if got := outcome(p); got != "waiting" {
				t.Errorf("%s: %s, want waiting", what, got)
			}
		}
		a := w.mustProduce(1, AcksAll, batch(1, "a"))
		if at(3900 * time.Millisecond); w.replica(1).Info().Suspended {
			t.Fatal("suspended within the lease")
		}
		at(4100 * time.Millisecond)
		end := w.replica(1).Info().LogEndOffset
		b := produce("b")
		if _, err := w.produce(1, AcksNone, batch(1, "x")); !errors.Is(err, ErrNotLeader) {
			t.Errorf("acks=0 without a lease: %v", err)
		}
		at(4200*time.Millisecond, 2)
		waiting("one of two followers heard", b)
		if got := w.replica(1).Info().LogEndOffset; got != end {
			t.Errorf("log end %d, was %d: appended without a lease", got, end)
		}
		// Every in-sync follower vouches for the leader as well as the controller.
		at(5*time.Second, 2, 3)
		refused("b, after the lease was renewed", b)
		waiting("a, which is in the log", a)
		produce("d")
		// Word from a broker whose session is over may come from a newer epoch.
		w.replica(1).FollowerClosed(3, s3, "moved on")
		table.ControllerHeard()
		began = time.Now()
		at(4100*time.Millisecond, 2, 3)
		e := produce("e")
		at(6900*time.Millisecond, 2, 3)
		waiting("e, while another may be elected", e)
		waiting("a, while another may be elected", a)
		at(7100*time.Millisecond, 2, 3)
		refused("e", e)
		refused("a", a)
		if _, err := w.produce(1, AcksLeader, batch(1, "f")); !errors.Is(err, ErrNotLeader) {
			t.Errorf("after that: %v", err)
		}
	})
}

// TestRefusedTellsTheSuccessor: whoever waits for a leader whose lease ran out is
// told who leads as soon as this broker hears it, if only from that one.
func TestRefusedTellsTheSuccessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		table, r := w.brokers[1].table, w.replica(1)
		table.ControllerHeard()
		p := w.mustProduce(1, AcksAll, batch(1, "a"))
		time.Sleep(5 * time.Second)
		table.tick(time.Now())
		held := w.mustProduce(1, AcksAll, batch(1, "b"))
		if leader, epoch := r.Leader(); leader != cluster.NoBroker || epoch != 0 {
			t.Errorf("without a lease %d leads epoch %d", leader, epoch)
		}
		if _, err := table.OpenFollow(OpenRequest{Leader: 2, TP: r.TP(), Epoch: 1, Session: 7}); err != nil {
			t.Fatal(err)
		}
		for what, p := range map[string]*Pending{"appended": p, "held": held} {
			var why *Error
			if !errors.As(p.Err(), &why) || !errors.Is(why, ErrNotLeader) || why.Leader != 2 || why.Epoch != 1 {
				t.Errorf("%s: %+v, want that broker 2 leads epoch 1", what, p.Err())
			}
		}
		if leader, epoch := r.Leader(); leader != 2 || epoch != 1 {
			t.Errorf("%d leads epoch %d, want broker 2 and epoch 1", leader, epoch)
		}
	})
}

// TestDamagedReplicaStartsAnew is the corruption row of replication.md §3.10:
// nothing is cut; the replica is reported, moved aside and replicated again.
func TestDamagedReplicaStartsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.mustProduce(1, AcksAll, batch(3, "a"))
		synctest.Wait()
		b := w.brokers[1]
		if err := b.table.makeCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		dir := b.table.replicaDir(w.tp)
		names, err := b.disk.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if len(name) > 4 && name[len(name)-4:] == ".log" {
				if err := b.disk.Remove(dir + "/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.disk.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
		w.crash(1)
		w.start(1)
		if got := b.report.Failed; !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
			t.Fatalf("failed replicas %v", got)
		}
		// A second crash before the registration must not make it look sound.
		w.crash(1)
		w.start(1)
		if got := b.report.Failed; !slices.Equal(got, []cluster.TopicPartition{w.tp}) {
			t.Fatalf("failed replicas after another crash %v", got)
		}
		w.register(1)
		if _, p, _ := w.img.Partition(w.tp); p.Leader != cluster.NoBroker || p.InELR(1) {
			t.Errorf("damaged replica leads or may lead: %+v", p)
		}
	})
}

// TestRecoveryKeepsWhatWasDurable crashes at random moments of a random history
// of appends, cuts, checkpoints and power losses, and checks after each restart
// that the log is the one that was durable, plus at most what was appended to
// it since.
func TestRecoveryKeepsWhatWasDurable(t *testing.T) {
	t.Parallel()
	for range 10 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, 2, map[string]string{"min.insync.replicas": "1"})
			b := w.brokers[1]
			var model []string // contents, in order of offsets
			durable := 0
			for range 60 {
				switch k := rng.IntN(10); {
				case k < 6 && w.leader() == 1:
					if p, err := w.produce(1, AcksLeader, batch(1+rng.IntN(3), "v")); err == nil {
						_ = p
						model = w.contents(1)
					}
				case k < 8:
					synctest.Wait()
					durable = int(w.replica(1).Info().DurableEndOffset)
				case k == 8:
					if err := b.table.makeCheckpoint(t.Context()); err != nil {
						t.Fatal(err)
					}
					durable = int(w.replica(1).Info().DurableEndOffset)
				default:
					disk := b.disk.Crash(vfs.Loss{Rand: rng})
					b.stop()
					b.disk = disk
					w.start(1)
					if len(b.report.Failed) > 0 {
						t.Fatalf("seed %d: sound replica failed: %+v", seed, b.report)
					}
					var got []string
					if _, ok := b.table.Get(w.tp); ok { // one without a record has no files
						got = w.contents(1)
					}
					if len(got) < durable || len(got) > len(model) || !slices.Equal(got, model[:len(got)]) {
						t.Fatalf("seed %d: recovered %d records, durable were %d of %d", seed, len(got), durable, len(model))
					}
					model, durable = got, len(got)
					w.register(1)
					if w.leader() != 1 {
						w.commit(cluster.FenceBroker{ID: 2, Epoch: w.brokerEpoch(2)})
						w.register(2)
					}
				}
			}
		})
	}
}
