package partition

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// follower is broker 2 with a session from broker 1 that a test drives by hand.
type follower struct {
	*world
	r *Replica
}

const openSession = 100

func onFollower(t *testing.T, do func(b follower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		b := follower{w, w.replica(2)}
		if err := b.open(0, openSession); err != nil {
			t.Fatal(err)
		}
		do(b)
	})
}

func (b follower) table() *Table { return b.brokers[2].table }
func (b follower) acks() acks    { return b.brokers[2].acks }

func (b follower) open(epoch cluster.Epoch, session uint64) error {
	_, err := b.table().OpenFollow(OpenRequest{Leader: 1, TP: b.tp, Epoch: epoch, Session: session, Sink: b.acks()})
	return err
}

// append sends a batch that continues the log.
func (b follower) append(epoch cluster.Epoch, p record.Batch) error {
	base := b.r.log.EndOffset()
	p.Stamp(base, int32(epoch))
	return b.frame(base, p)
}

func (b follower) frame(base int64, p record.Batch) error {
	req := FollowRequest{TP: b.tp, Session: b.r.follow.id, Base: base, PrevEpoch: cluster.NoEpoch, Batches: p}
	if epoch, crc, ok := b.r.log.Last(); ok {
		req.PrevEpoch, req.PrevCRC = epoch, crc
	}
	return b.table().AppendFrom(b.t.Context(), req)
}

func (b follower) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b follower) want(err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("error %v, want %v", err, want)
	}
}

// TestSessions are R3, R4, R6 and R7 on the follower's side, one at a time.
func TestSessions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(b follower)
	}{
		{name: "nothing is acknowledged before the leader counts the session", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			b.must(b.open(0, openSession+1))
			b.r.durableEnd = 0
			b.r.Synced(b.r.generation, 2)
			if got, ok := b.acks()[openSession+1]; ok {
				b.t.Errorf("acknowledged %d", got)
			}
			b.table().FollowHighWatermark(b.tp, openSession+1, 0)
			if got := b.acks()[openSession+1]; got != 2 {
				b.t.Errorf("acknowledged %d once it counts, want 2", got)
			}
		}},
		{name: "watermark of another session", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			b.table().FollowHighWatermark(b.tp, openSession-1, 2)
			if got := b.r.Info().HighWatermark; got != 0 {
				b.t.Errorf("high watermark %d", got)
			}
		}},
		{name: "high watermark is capped and does not go back", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			for _, hw := range []int64{9, 1} {
				b.table().FollowHighWatermark(b.tp, openSession, hw)
				if got := b.r.Info().HighWatermark; got != 2 {
					b.t.Errorf("told %d: high watermark %d, want 2", hw, got)
				}
			}
		}},
		{name: "log start only up to the high watermark", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			b.r.followStart(2)
			if got := b.r.Info().LogStartOffset; got != 0 {
				b.t.Errorf("log starts at %d", got)
			}
			b.table().FollowHighWatermark(b.tp, openSession, 2)
			b.r.followStart(2)
			if got := b.r.Info().LogStartOffset; got != 2 {
				b.t.Errorf("log starts at %d, want 2", got)
			}
		}},
		{name: "older session of the same leader", do: func(b follower) {
			b.want(b.open(0, openSession-1), ErrStaleSession)
			b.must(b.append(0, batch(1, "a")))
		}},
		{name: "end of another session", do: func(b follower) {
			b.table().CloseFollow(b.tp, openSession-1)
			b.must(b.append(0, batch(1, "a")))
			b.table().CloseFollow(b.tp, openSession)
			b.want(b.append(0, batch(1, "a")), ErrStaleSession)
		}},
		{name: "metadata of a newer epoch", do: func(b follower) {
			b.must(b.append(0, batch(1, "a")))
			b.r.mu.Lock()
			b.r.becomeFollower(1)
			b.r.mu.Unlock()
			if b.r.follow.id != 0 {
				b.t.Error("the session is still open") // R3
			}
		}},
		{name: "other epoch before, same checksum", do: func(b follower) {
			b.must(b.append(0, batch(1, "a")))
			_, crc, _ := b.r.log.Last()
			p := batch(1, "b")
			p.Stamp(1, 0)
			b.want(b.table().AppendFrom(b.t.Context(), FollowRequest{TP: b.tp, Session: openSession, Base: 1, PrevEpoch: 3, PrevCRC: crc, Batches: p}), ErrDiverged)
		}},
		{name: "epoch before the log's last", do: func(b follower) {
			b.must(b.open(4, openSession+1))
			b.must(b.append(4, batch(1, "a")))
			b.want(b.append(3, batch(1, "b")), ErrDiverged)
			if b.r.hasFailed() {
				b.t.Error("the replica failed")
			}
		}},
		{name: "only an empty log starts within a batch", do: func(b follower) {
			_, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 1, Reset: true})
			b.must(err)
			first := batch(2, "a")
			b.must(b.frame(1, first))
			second := batch(2, "b")
			second.Stamp(1, 0)
			b.want(b.frame(2, second), ErrDiverged)
		}},
		{name: "data during a cut", do: func(b follower) {
			b.r.follow.cutting = true
			b.want(b.append(0, batch(1, "a")), ErrDiverged)
		}},
		{name: "cut of another session", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			_, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession-1, Cut{To: 0})
			b.want(err, ErrStaleSession)
			if got := b.r.Info().LogEndOffset; got != 2 {
				b.t.Errorf("log ends at %d", got)
			}
		}},
		{name: "syncs of what was cut", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			synctest.Wait()
			before := b.r.generation
			end, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 0})
			b.must(err)
			b.r.Synced(before, 2)
			b.r.Synced(b.r.generation, -1)
			if got := b.r.Info().DurableEndOffset; got != 0 || end != 0 {
				b.t.Errorf("durable end %d, reported %d", got, end)
			}
			b.must(b.append(0, batch(1, "b"))) // the cut is over
		}},
		{name: "a cut voids what was durable at once", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			synctest.Wait()
			_, err := b.r.logTruncation(openSession, Cut{To: 0})
			b.must(err)
			if got := b.r.Info().DurableEndOffset; got != 0 || !b.r.follow.cutting {
				b.t.Errorf("durable end %d, cutting %v", got, b.r.follow.cutting)
			}
		}},
		{name: "a cut forgets the producers' batches", do: func(b follower) {
			b.must(b.append(0, idempotent(0)))
			_, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 0})
			b.must(err)
			if v, err := b.r.producers.Check(idempotent(0)); err != nil || v.Kind == producer.Duplicate {
				b.t.Errorf("verdict %+v, %v", v, err)
			}
			b.crash(2)
			b.start(2)
			if v, err := b.replica(2).producers.Check(idempotent(0)); err != nil || v.Kind == producer.Duplicate {
				b.t.Errorf("after a power loss: verdict %+v, %v", v, err)
			}
		}},
		{name: "a reset is durable", do: func(b follower) {
			b.must(b.append(0, batch(2, "a")))
			end, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 10, Reset: true})
			b.must(err)
			if info := b.r.Info(); end != 10 || info.HighWatermark != 10 || info.DurableEndOffset != 10 {
				b.t.Errorf("durable end %d, %+v", end, info)
			}
			b.crash(2)
			b.start(2)
			if info := b.replica(2).Info(); info.LogStartOffset != 10 || info.LogEndOffset != 10 || info.HighWatermark != 10 {
				b.t.Errorf("after a power loss [%d, %d), high watermark %d", info.LogStartOffset, info.LogEndOffset, info.HighWatermark)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onFollower(t, tt.do)
		})
	}
}

// TestCutsKeepApart holds what a checkpoint or a role change holds: nothing that
// must wait for it goes on meanwhile.
func TestCutsKeepApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		held func(r *Replica) turn
		do   func(b follower)
	}{
		{name: "cut during a checkpoint", held: func(r *Replica) turn { return r.files }, do: func(b follower) {
			_, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 0})
			b.must(err)
		}},
		{name: "cut during a role change", held: func(r *Replica) turn { return r.transition }, do: func(b follower) {
			_, err := b.table().TruncateFollow(b.t.Context(), b.tp, openSession, Cut{To: 0})
			b.must(err)
		}},
		{name: "checkpoint during a cut", held: func(r *Replica) turn { return r.files }, do: func(b follower) { b.must(b.table().makeCheckpoint(b.t.Context())) }},
		{name: "session during a cut", held: func(r *Replica) turn { return r.transition }, do: func(b follower) { b.must(b.open(0, openSession+1)) }},
		{name: "deletion during a checkpoint", held: func(r *Replica) turn { return r.files }, do: func(b follower) {
			b.table().remove(b.r, ErrRemoved)
			b.must(b.table().o.WAL.WaitSynced(b.t.Context(), b.table().o.WAL.End()))
			b.table().finishRemovals()
		}},
		{name: "removal during a cut", held: func(r *Replica) turn { return r.transition }, do: func(b follower) { b.table().remove(b.r, ErrRemoved) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onFollower(t, func(b follower) {
				b.must(b.append(0, batch(2, "a")))
				tt.held(b.r).Lock()
				done := make(chan struct{})
				go func() {
					defer close(done)
					tt.do(b)
				}()
				synctest.Wait()
				select {
				case <-done:
					b.t.Error("did not wait")
				default:
				}
				tt.held(b.r).Unlock()
				<-done
			})
		})
	}
}
