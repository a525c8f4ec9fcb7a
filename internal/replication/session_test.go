package replication

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/partition"
)

var epochStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// openSession returns a session that has reached the lane for its lag.
func openSession(t *testing.T, durableEnd, logEnd, lag int64) *session {
	t.Helper()
	s := &session{key: testKey(1)}
	s.connect(1)
	if !s.answered(openAck{key: s.key, position: partition.FollowerPosition{BrokerEpoch: 5, LogEnd: logEnd, DurableEnd: durableEnd}}) {
		t.Fatal("answer not taken")
	}
	s.begin(durableEnd, logEnd, lag, 1<<20)
	return s
}

func TestSessionOpens(t *testing.T) {
	t.Parallel()
	s := &session{key: testKey(1)}
	s.connect(7)
	other := s.key
	other.session = 6
	if s.answered(openAck{key: other}) {
		t.Error("took the answer to another attempt")
	}
	if !s.answered(openAck{key: s.key, code: openWait}) || s.phase != phaseParked {
		t.Errorf("after WAIT: %s", s.phase)
	}
	if !s.answered(openAck{key: s.key, position: partition.FollowerPosition{BrokerEpoch: 3, LogEnd: 50, DurableEnd: 50}}) {
		t.Error("did not take the answer after parking")
	}
	cut := s.truncate(partition.Cut{To: 40, Needed: true})
	if cut.to != 40 || cut.reset || s.phase != phaseTruncating {
		t.Errorf("cut %+v in phase %s", cut, s.phase)
	}
	if s.cutDone(truncated{key: s.key, durableEnd: 41}) {
		t.Error("took a cut at another offset")
	}
	if !s.cutDone(truncated{key: s.key, durableEnd: 40}) {
		t.Error("did not take the cut")
	}
	s.begin(40, 40, 10, 1<<20)
	if s.phase != phaseLive || s.cursor != 40 || s.brokerEpoch != 3 {
		t.Errorf("began %s at %d, broker epoch %d", s.phase, s.cursor, s.brokerEpoch)
	}
	if s.answered(openAck{key: s.key}) {
		t.Error("took a second answer while open")
	}
}

func TestSessionChoosesLaneByLag(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		density float64
		lag     int64
		want    phase
	}{
		{name: "caught up", lag: 0, want: phaseLive},
		{name: "little, of guessed size", lag: 1024, want: phaseLive},
		{name: "much, of guessed size", lag: 1025, want: phaseBulk},
		{name: "little, of large records", density: 1 << 20, lag: 2, want: phaseBulk},
		{name: "much, of small records", density: 10, lag: 100_000, want: phaseLive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &session{key: testKey(1), density: tt.density}
			s.connect(1)
			s.begin(0, 0, tt.lag, 1<<20)
			if s.phase != tt.want {
				t.Errorf("phase = %s, want %s", s.phase, tt.want)
			}
		})
	}
}

func TestSessionWindow(t *testing.T) {
	t.Parallel()
	s := openSession(t, 10, 10, 0)
	now := epochStart
	s.sent(laneLive, 15, 500, 9, now)
	s.sent(laneLive, 20, 300, 12, now.Add(time.Millisecond))
	if got := s.budget(laneLive, 1000); got != 200 || s.hwSent != 12 {
		t.Errorf("budget = %d, high watermark sent = %d", got, s.hwSent)
	}
	p, err := s.acked(ack{key: s.key, durableEnd: 14, appendedEnd: 20}, now.Add(2*time.Millisecond))
	if err != nil || p.freed[laneLive] != 0 || p.waited != 0 {
		t.Errorf("ack within the first frame: %+v, %v", p, err)
	}
	p, err = s.acked(ack{key: s.key, durableEnd: 20, appendedEnd: 20}, now.Add(4*time.Millisecond))
	if err != nil || p.freed[laneLive] != 800 || p.waited != 4*time.Millisecond || s.budget(laneLive, 1000) != 1000 {
		t.Errorf("ack of everything: %+v, %v", p, err)
	}
}

func TestSessionRefusesImpossibleAcks(t *testing.T) {
	t.Parallel()
	for _, a := range []ack{{durableEnd: 10, appendedEnd: 21}, {durableEnd: 21, appendedEnd: 21}, {durableEnd: 15, appendedEnd: 14}} {
		s := openSession(t, 10, 10, 0)
		s.sent(laneLive, 20, 100, 0, epochStart)
		if _, err := s.acked(a, epochStart); err == nil || s.durableEnd != 10 {
			t.Errorf("ack %d/%d: error %v, durable end %d", a.durableEnd, a.appendedEnd, err, s.durableEnd)
		}
	}
}

func TestSessionChangesLaneWhenDrained(t *testing.T) {
	t.Parallel()
	s := openSession(t, 0, 0, 1<<20)
	if s.phase != phaseBulk {
		t.Fatalf("began %s", s.phase)
	}
	s.sent(laneBulk, 100, 1000, 0, epochStart)
	if s.leave() || s.sendsOn(laneBulk) || s.sendsOn(laneLive) {
		t.Error("changed the lane while data was on its way")
	}
	if p, err := s.acked(ack{durableEnd: 0, appendedEnd: 99}, epochStart); p.switched || err != nil {
		t.Errorf("changed before everything was appended (%v)", err)
	}
	if p, err := s.acked(ack{durableEnd: 50, appendedEnd: 100}, epochStart); !p.switched || err != nil || !s.sendsOn(laneLive) {
		t.Errorf("did not change once everything was appended (%v)", err)
	}
	if s.window.bytes[laneBulk] != 1000 {
		t.Error("what is appended but not durable must keep its credit")
	}
	if !s.tooFarBehind(100+1000, 1000) || s.tooFarBehind(100+50, 1000) {
		t.Errorf("density %.1f: wrong idea of too far behind", s.density)
	}
	if !s.leave() || !s.sendsOn(laneBulk) {
		t.Error("a lane with nothing on its way is left at once")
	}
}

func TestSessionBacksOff(t *testing.T) {
	t.Parallel()
	s := openSession(t, 0, 0, 0)
	want := minReopen
	for range 8 {
		s.backOff(epochStart)
		s.lost()
		if got := s.retryAt.Sub(epochStart); got != min(want, maxReopen) {
			t.Errorf("after %d failures: wait %v, want %v", s.failures, got, min(want, maxReopen))
		}
		want *= 2
		s.connect(uint64(s.failures + 1))
	}
	s.begin(0, 0, 0, 1<<20)
	s.sent(laneLive, 1, 10, 0, epochStart)
	if _, err := s.acked(ack{durableEnd: 1, appendedEnd: 1}, epochStart); err != nil {
		t.Fatal(err)
	}
	s.backOff(epochStart)
	if got := s.retryAt.Sub(epochStart); got != minReopen {
		t.Errorf("after progress: wait %v, want %v", got, minReopen)
	}
}

func TestWindowRing(t *testing.T) {
	t.Parallel()
	var w window
	for i := range int64(100) {
		w.push(flight{end: i + 1, bytes: 1, lane: lane(i % 2), sent: epochStart})
		if i%3 == 0 {
			w.settle(i/2, epochStart)
		}
	}
	live, bulk := 0, 0
	for i := range w.n {
		if w.at(i).lane == laneLive {
			live++
		} else {
			bulk++
		}
	}
	if w.bytes[laneLive] != live || w.bytes[laneBulk] != bulk {
		t.Errorf("bytes %v, flights %d live and %d bulk", w.bytes, live, bulk)
	}
	if freed := w.clear(); freed[laneLive]+freed[laneBulk] != live+bulk || w.n != 0 || w.bytes != [laneCount]int{} {
		t.Errorf("clear freed %v of %d", freed, live+bulk)
	}
}

// history drives one session and a follower's log, connected by two lanes that
// deliver in any order relative to each other, and checks L1 to L4 after every
// step.
type history struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	s       session
	nextID  uint64
	logEnd  int64
	lanes   [laneCount][]sentFrame
	acks    []ack
	end     int64 // of the follower's log
	durable int64
	now     time.Time
}

type sentFrame struct {
	session    uint64
	base, next int64
}

const (
	historyLiveWindow = 50
	historyBulkWindow = 300
)

func (h *history) step() {
	h.now = h.now.Add(time.Millisecond)
	switch h.rand.IntN(8) {
	case 0:
		h.logEnd += h.rand.Int64N(40)
	case 1, 2:
		h.send(lane(h.rand.IntN(2)))
	case 3, 4:
		h.deliver(lane(h.rand.IntN(2)))
	case 5:
		h.durable = h.end
		if h.s.open() {
			h.acks = append(h.acks, ack{key: h.s.key, durableEnd: h.durable, appendedEnd: h.end})
		}
	case 6:
		h.takeAck()
	case 7:
		h.disturb()
	}
	h.check()
}

func (h *history) send(l lane) {
	if !h.s.open() {
		return
	}
	if h.s.tooFarBehind(h.logEnd, historyBulkWindow) {
		h.s.leave()
	}
	window := historyLiveWindow
	if l == laneBulk {
		window = historyBulkWindow
	}
	budget := int64(h.s.budget(l, window))
	if !h.s.sendsOn(l) || budget <= 0 || h.s.cursor >= h.logEnd {
		return
	}
	next := min(h.s.cursor+1+h.rand.Int64N(budget), h.logEnd)
	h.lanes[l] = append(h.lanes[l], sentFrame{session: h.s.session, base: h.s.cursor, next: next})
	h.s.sent(l, next, int(next-h.s.cursor), 0, h.now)
	if l == laneBulk && next == h.logEnd {
		h.s.leave()
	}
}

func (h *history) deliver(l lane) {
	if len(h.lanes[l]) == 0 {
		return
	}
	f := h.lanes[l][0]
	h.lanes[l] = h.lanes[l][1:]
	if f.session != h.s.session {
		return // the follower knows that this session is over
	}
	if f.base != h.end {
		h.t.Fatalf("seed %d: L1, L2: frame [%d, %d) arrives on lane %d, the follower's log ends at %d", h.seed, f.base, f.next, l, h.end)
	}
	h.end = f.next
}

func (h *history) takeAck() {
	if len(h.acks) == 0 {
		return
	}
	a := h.acks[0]
	h.acks = h.acks[1:]
	if a.key != h.s.key || !h.s.open() {
		return
	}
	if _, err := h.s.acked(a, h.now); err != nil {
		h.t.Fatalf("seed %d: %v", h.seed, err)
	}
}

// disturb loses the session now and then, with or without what the follower
// had not synced, and opens it anew.
func (h *history) disturb() {
	if h.s.phase == phaseConnecting {
		h.nextID++
		h.s.connect(h.nextID)
		h.s.begin(h.durable, h.end, h.logEnd-h.end, historyLiveWindow)
		return
	}
	if h.rand.IntN(10) == 0 {
		h.s.lost()
		h.acks = nil
		if h.rand.IntN(2) == 0 {
			h.end = h.durable
		}
	}
}

func (h *history) check() {
	var inflight [laneCount]int
	for i := range h.s.window.n {
		f := h.s.window.at(i)
		inflight[f.lane] += f.bytes
	}
	switch {
	case inflight != h.s.window.bytes:
		h.t.Fatalf("seed %d: window says %v, flights are %v", h.seed, h.s.window.bytes, inflight)
	case inflight[laneLive] > historyLiveWindow || inflight[laneBulk] > historyBulkWindow:
		h.t.Fatalf("seed %d: L4: %v on their way", h.seed, inflight)
	case h.s.open() && (h.s.durableEnd > h.s.appendedEnd || h.s.appendedEnd > h.s.cursor || h.s.cursor > h.logEnd):
		h.t.Fatalf("seed %d: L3: durable %d, appended %d, cursor %d, log end %d", h.seed, h.s.durableEnd, h.s.appendedEnd, h.s.cursor, h.logEnd)
	case h.s.open() && h.end > h.s.cursor:
		h.t.Fatalf("seed %d: L1: the follower's log ends at %d, cursor %d", h.seed, h.end, h.s.cursor)
	}
}

// settle stops appends and disturbance: the follower must get everything.
func (h *history) settle() {
	if h.s.phase == phaseConnecting {
		h.disturb()
	}
	for range 100_000 {
		if h.durable == h.logEnd && h.s.durableEnd == h.logEnd {
			return
		}
		for l := range laneCount {
			h.send(l)
			h.deliver(l)
		}
		h.durable = h.end
		h.acks = append(h.acks, ack{key: h.s.key, durableEnd: h.durable, appendedEnd: h.end})
		h.takeAck()
		h.check()
	}
	h.t.Fatalf("seed %d: stuck %s at %d of %d", h.seed, h.s.phase, h.s.durableEnd, h.logEnd)
}

func TestSessionHistories(t *testing.T) {
	t.Parallel()
	base := rand.Uint64()
	for i := range uint64(500) {
		seed := base + i
		h := &history{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), s: session{key: testKey(1)}, now: epochStart}
		for range 500 {
			h.step()
		}
		h.settle()
	}
}

// TestFlightsAreBounded sends frames that are so small that the window in bytes
// never binds.
func TestFlightsAreBounded(t *testing.T) {
	t.Parallel()
	s := openSession(t, 10, 10, 0)
	next := int64(10)
	for s.budget(laneLive, 1<<20) > 0 {
		next++
		s.sent(laneLive, next, 1, 0, epochStart)
		if s.window.n > maxFlights {
			t.Fatalf("%d frames are on their way, want at most %d", s.window.n, maxFlights)
		}
	}
	if s.window.n != maxFlights {
		t.Errorf("no more may be sent with %d on their way, want %d", s.window.n, maxFlights)
	}
	if _, err := s.acked(ack{key: s.key, durableEnd: 11, appendedEnd: next}, epochStart); err != nil || s.budget(laneLive, 1<<20) <= 0 {
		t.Errorf("nothing may be sent after an ack (%v)", err)
	}
}
