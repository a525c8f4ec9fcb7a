package isr_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

var start = time.Unix(1_700_000_000, 0)

// lead starts a term of broker 1 with replicas 1, 2 and 3, all of them
// registered under 100 plus their id.
func lead(term isr.Term) *isr.State {
	term.Self, term.Epoch, term.PartitionEpoch = 1, 1, 1
	term.Replicas = []cluster.BrokerID{1, 2, 3}
	s := isr.New(isr.Options{}, term, start)
	for _, id := range term.Replicas {
		s.SetEligible(id, true, cluster.BrokerEpoch(100+id))
	}
	return s
}

// TestHighWatermark is the rule I2 and I3 in numbers: what everybody reported,
// and where that puts the high watermark.
func TestHighWatermark(t *testing.T) {
	t.Parallel()
	const missing = -1 // no session
	for _, tt := range []struct {
		name          string
		isr           []cluster.BrokerID
		minISR        int
		leader        int64
		two, three    int64
		known, wantHW int64
	}{
		{"the slowest follower decides", []cluster.BrokerID{1, 2, 3}, 2, 90, 40, 70, 0, 40},
		{"the leader is the slowest", []cluster.BrokerID{1, 2, 3}, 2, 30, 40, 70, 0, 30},
		{"an outsider does not count", []cluster.BrokerID{1, 2}, 2, 90, 60, 10, 0, 60},
		{"a member without a session could be anywhere", []cluster.BrokerID{1, 2, 3}, 2, 90, 60, missing, 0, 0},
		{"an outsider without a session does not matter", []cluster.BrokerID{1, 2}, 2, 90, 60, missing, 0, 60},
		{"alone, with a minimum of one", []cluster.BrokerID{1}, 1, 90, missing, missing, 0, 90},
		{"too few members", []cluster.BrokerID{1}, 2, 90, 90, 90, 0, 0},
		{"exactly enough members", []cluster.BrokerID{1, 3}, 2, 90, missing, 80, 0, 80},
		{"the leader, even if the set lacks it", []cluster.BrokerID{2, 3}, 2, 30, 40, 70, 0, 30},
		{"never back", []cluster.BrokerID{1, 2, 3}, 2, 90, 40, 70, 50, 50},
		{"never beyond the log", []cluster.BrokerID{1}, 1, 200, missing, missing, 0, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lead(isr.Term{ISR: tt.isr, MinISR: tt.minISR, EndOffset: 100, HighWatermark: tt.known})
			moved := s.LocalSynced(tt.leader, start)
			for id, durable := range map[cluster.BrokerID]int64{2: tt.two, 3: tt.three} {
				if durable != missing {
					moved = s.SessionOpened(id, 1, cluster.BrokerEpoch(100+id), durable, start) || moved
				}
			}
			if got := s.HighWatermark(); got != tt.wantHW {
				t.Errorf("high watermark %d, want %d", got, tt.wantHW)
			}
			if moved != (tt.wantHW != tt.known) {
				t.Errorf("moved is %t, high watermark went from %d to %d", moved, tt.known, s.HighWatermark())
			}
		})
	}
}

// TestKnownWatermarkIsBounded starts a term with a high watermark that the
// leader heard of and has no log for.
func TestKnownWatermarkIsBounded(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1}, MinISR: 1, EndOffset: 100, HighWatermark: 150})
	if got := s.HighWatermark(); got != 100 {
		t.Errorf("high watermark %d, the log ends at 100", got)
	}
}

// TestEpochStartGate is K15: the latest offset is unknown until the high
// watermark has reached the start of the epoch.
func TestEpochStartGate(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 70})
	if s.HWReachedEpochStart() || s.EpochStart() != 100 {
		t.Errorf("reached %t at %d of %d", s.HWReachedEpochStart(), s.HighWatermark(), s.EpochStart())
	}
	s.SessionOpened(2, 1, 102, 99, start)
	if s.HWReachedEpochStart() {
		t.Errorf("reached at %d of %d", s.HighWatermark(), s.EpochStart())
	}
	if _, err := s.Acked(2, 1, 100, 100, start); err != nil || !s.HWReachedEpochStart() {
		t.Errorf("not reached at %d of %d, error %v", s.HighWatermark(), s.EpochStart(), err)
	}
}

// TestRefusedAcks is I7, and what the error says.
func TestRefusedAcks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		follower cluster.BrokerID
		session  uint64
		durable  int64
		want     error
	}{
		{"current session", 2, 7, 60, nil},
		{"no news", 2, 7, 50, nil},
		{"earlier session", 2, 6, 60, isr.ErrStaleSession},
		{"later session", 2, 8, 60, isr.ErrStaleSession},
		{"no session", 3, 0, 60, isr.ErrStaleSession},
		{"the leader itself", 1, 0, 60, isr.ErrStaleSession},
		{"a stranger", 4, 7, 60, isr.ErrStaleSession},
		{"going back", 2, 7, 49, isr.ErrImpossibleAck},
		{"beyond the log", 2, 7, 101, isr.ErrImpossibleAck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100})
			s.SessionOpened(2, 7, 102, 50, start)
			before := s.HighWatermark()
			moved, err := s.Acked(tt.follower, tt.session, tt.durable, tt.durable, start)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil {
				return
			}
			if moved || s.HighWatermark() != before {
				t.Errorf("a refused ack moved the high watermark from %d to %d", before, s.HighWatermark())
			}
			var where *isr.Error
			if !errors.As(err, &where) || where.Follower != tt.follower || where.Session != tt.session {
				t.Errorf("the error does not say whom it refuses: %v", err)
			}
		})
	}
}

// TestAppendedIsOnlyForShow pins that an append at the follower, which is not
// durable, is reported and counts nothing.
func TestAppendedIsOnlyForShow(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100})
	s.SessionOpened(2, 1, 102, 40, start)
	if moved, err := s.Acked(2, 1, 40, 90, start); moved || err != nil {
		t.Errorf("moved %t, error %v", moved, err)
	}
	f := s.Followers(start)[0]
	if f.DurableEnd != 40 || f.AppendedEnd != 90 || f.LagRecords != 60 || s.HighWatermark() != 40 {
		t.Errorf("follower %+v, high watermark %d", f, s.HighWatermark())
	}
}

// TestProposalOutcomes is I4 and I5: which word of a join's fate ends the wait
// for the one that joins.
func TestProposalOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		outcomes []isr.Outcome // of the copies, in order; each is sent after the one before
		waits    bool
	}{
		{"no word", nil, true},
		{"unknown", []isr.Outcome{isr.OutcomeUnknown}, true},
		{"stale", []isr.Outcome{isr.OutcomeStale}, true},
		{"accepted", []isr.Outcome{isr.OutcomeAccepted}, true},
		{"rejected", []isr.Outcome{isr.OutcomeRejected}, false},
		{"rejected after an unknown one", []isr.Outcome{isr.OutcomeUnknown, isr.OutcomeRejected}, true},
		{"rejected twice after an unknown one", []isr.Outcome{isr.OutcomeUnknown, isr.OutcomeRejected, isr.OutcomeRejected}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 100})
			s.SessionOpened(2, 1, 102, 100, start)
			s.SessionOpened(3, 2, 103, 100, start)
			s.CaughtUpLive(3, 2, true, start)
			now := start
			for i, outcome := range tt.outcomes {
				now = now.Add(200 * time.Millisecond)
				p, due := s.Tick(now)
				if !due || !slices.Equal(p.Add, []cluster.BrokerID{3}) || p.Seq != 1 {
					t.Fatalf("copy %d: due %t: %+v", i+1, due, p)
				}
				s.Resolve(p, outcome, now)
			}
			if tt.outcomes == nil {
				s.Tick(now.Add(time.Millisecond))
			}
			if waits := slices.Contains(s.MaximalISR(), 3); waits != tt.waits {
				t.Errorf("the high watermark waits for %v, want 3 in it: %t", s.MaximalISR(), tt.waits)
			}
		})
	}
}

// TestOldProposalResolvesNothing hands in a late word of a proposal that another
// one has followed.
func TestOldProposalResolvesNothing(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 100})
	s.SessionOpened(3, 2, 103, 100, start)
	s.CaughtUpLive(3, 2, true, start)
	old, _ := s.Tick(start)
	s.Committed(2, []cluster.BrokerID{1, 2}, 2, start)
	p, due := s.Tick(start.Add(50 * time.Millisecond))
	if !due || p.Seq == old.Seq {
		t.Fatalf("due %t: %+v after %+v", due, p, old)
	}
	s.Resolve(old, isr.OutcomeRejected, start)
	other := p
	other.Epoch++
	s.Resolve(other, isr.OutcomeRejected, start)
	if !slices.Contains(s.MaximalISR(), 3) {
		t.Errorf("the high watermark waits for %v only", s.MaximalISR())
	}
	if s.Resolve(p, isr.OutcomeRejected, start); slices.Contains(s.MaximalISR(), 3) {
		t.Errorf("the high watermark still waits for %v", s.MaximalISR())
	}
}

// TestJoinerRegistersAnew is the one thing besides the partition epoch from
// which the metadata shows that a join can no longer happen.
func TestJoinerRegistersAnew(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 100})
	s.SessionOpened(2, 1, 102, 100, start)
	s.SessionOpened(3, 2, 103, 100, start)
	s.CaughtUpLive(3, 2, true, start)
	p, _ := s.Tick(start)
	s.Resolve(p, isr.OutcomeUnknown, start)
	s.SessionClosed(3, 2, start)
	s.Appended(110, start)
	s.LocalSynced(110, start)
	if _, err := s.Acked(2, 1, 110, 110, start); err != nil {
		t.Fatal(err)
	}
	if s.SetEligible(3, false, 103); s.HighWatermark() != 100 {
		t.Errorf("high watermark %d: the join may be committed once broker 3 is unfenced", s.HighWatermark())
	}
	if moved := s.SetEligible(3, false, 104); !moved || s.HighWatermark() != 110 {
		t.Errorf("moved %t to %d: nobody can join under a registration that is over", moved, s.HighWatermark())
	}
	if p, due := s.Tick(start.Add(100 * time.Millisecond)); due {
		t.Errorf("the proposal is sent again: %+v", p)
	}
}

// TestProposalNamesEpochs checks under which broker epochs members are proposed:
// the joiner's is that of its session (R10).
func TestProposalNamesEpochs(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 100})
	s.SessionOpened(3, 2, 103, 100, start)
	s.CaughtUpLive(3, 2, true, start)
	p, due := s.Tick(start)
	want := []cluster.ISRMember{{ID: 1, Epoch: 101}, {ID: 2, Epoch: 102}, {ID: 3, Epoch: 103}}
	if !due || !slices.Equal(p.ISR, want) || p.Epoch != s.Epoch() || p.PartitionEpoch != s.PartitionEpoch() || p.Reason == "" {
		t.Errorf("due %t: %+v, want members %v", due, p, want)
	}
}

// TestWords pins the words that tools print, which package status repeats.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		got  interface{ String() string }
		want string
	}{
		{isr.Connecting, "connecting"},
		{isr.CatchingUp, "catching_up"},
		{isr.Joining, "joining"},
		{isr.InSync, "in_sync"},
		{isr.Stalled, "stalled"},
		{isr.OutcomeUnknown, "unknown"},
		{isr.OutcomeRejected, "rejected"},
		{isr.OutcomeStale, "stale"},
		{isr.OutcomeAccepted, "accepted"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%T is called %q, want %q", tt.got, got, tt.want)
		}
	}
}

// TestTimeNeverRunsBackwards hands in moments that are earlier than ones before.
func TestTimeNeverRunsBackwards(t *testing.T) {
	t.Parallel()
	s := lead(isr.Term{ISR: []cluster.BrokerID{1, 2, 3}, MinISR: 2, EndOffset: 100, DurableEnd: 100, HighWatermark: 100})
	s.Appended(110, start.Add(time.Minute))
	for _, f := range s.Followers(start.Add(-time.Hour)) {
		if f.Lag != 0 {
			t.Errorf("follower %d lags by %s", f.ID, f.Lag)
		}
	}
	if p, due := s.Tick(start); due {
		t.Errorf("proposal %+v", p)
	}
}
