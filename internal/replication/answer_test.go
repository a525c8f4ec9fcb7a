package replication

import (
	"bytes"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
)

// openLink returns a link with one open session on a fake replica, as the
// goroutine that reads its answers sees it, and the session's key.
func openLink(t *testing.T) (*answerReader, *fakeLog, *stream, key) {
	t.Helper()
	table := newFakeTable(1)
	l := table.log(tp(0))
	l.leading, l.epoch, l.followers = true, 4, []cluster.BrokerID{2}
	m := newManager(Options{Self: 1}, table)
	r := &answerReader{link: newLink(m, 2)}
	r.live = &liveConn{}
	s := &stream{link: r.link, replica: l}
	s.session.tp, s.session.epoch = tp(0), 4
	r.add(s)
	k := s.session.key
	deliver(t, r, kindOpenAck, []openAck{{key: k, position: partition.FollowerPosition{BrokerEpoch: 9}}})
	if !s.session.open() {
		t.Fatalf("session is %s", s.session.phase)
	}
	for range 3 {
		l.write(4, 10)
	}
	s.session.sent(laneLive, 3, 300, 0, time.Now())
	r.credit.inflight[laneLive] += 300
	return r, l, s, k
}

// deliver hands a frame with the given entries to the reader.
func deliver[E entry](t *testing.T, r *answerReader, k kind, list []E) {
	t.Helper()
	b := appendFrame(nil, k, list)
	if k == kindAck {
		b = appendHeadedFrame(nil, k, round{}.append, list)
	}
	f, err := newFrameReader(bytes.NewReader(b), 1<<20).next()
	if err == nil {
		err = r.handle(f, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStaleAnswersDoNotCount sends every kind of answer under a key that
// differs from the session's in one field (R4).
func TestStaleAnswersDoNotCount(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(k *key)
	}{
		{name: "another session", change: func(k *key) { k.session-- }},
		{name: "another epoch", change: func(k *key) { k.epoch-- }},
		{name: "another partition", change: func(k *key) { k.tp.Partition++ }},
		{name: "another topic of the name", change: func(k *key) { k.tp.TopicID[3]++ }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, l, s, k := openLink(t)
			stale := k
			tt.change(&stale)
			deliver(t, r, kindAck, []ack{{key: stale, durableEnd: 3, appendedEnd: 3}})
			deliver(t, r, kindErr, []sessionErr{{key: stale, code: errCodeDiverged}})
			deliver(t, r, kindOpenAck, []openAck{{key: stale, code: openFenced}})
			deliver(t, r, kindTruncated, []truncated{{key: stale, durableEnd: 0}})
			if f := l.follower(2); f.durable != 0 || f.stale != 0 || s.session.key != k || s.session.phase != phaseLive {
				t.Errorf("follower %+v, session %s %s", *f, s.session.key, s.session.phase)
			}
			deliver(t, r, kindAck, []ack{{key: k, durableEnd: 2, appendedEnd: 3}})
			if f := l.follower(2); f.durable != 2 || f.appended != 3 || s.session.window.n != 1 {
				t.Errorf("after the session's own ack: %+v", *f)
			}
		})
	}
}

// TestImpossibleAckEndsTheSession: a follower that has what was never sent has
// another log. Nothing of it counts.
func TestImpossibleAckEndsTheSession(t *testing.T) {
	t.Parallel()
	r, l, s, k := openLink(t)
	deliver(t, r, kindAck, []ack{{key: k, durableEnd: 4, appendedEnd: 4}})
	if f := l.follower(2); f.durable != 0 || f.session != 0 || s.session.phase != phaseConnecting || r.credit.inflight != [laneCount]int{} {
		t.Errorf("follower %+v, session %s, in flight %v", *f, s.session.phase, r.credit.inflight)
	}
}

// TestUncountedAckReopens: when the partition stopped to count a session that
// the link holds for open, a new one is opened.
func TestUncountedAckReopens(t *testing.T) {
	t.Parallel()
	r, l, s, k := openLink(t)
	l.follower(2).session = 1
	deliver(t, r, kindAck, []ack{{key: k, durableEnd: 1, appendedEnd: 1}})
	if s.session.phase != phaseConnecting || s.session.over || len(r.due.retries) != 1 {
		t.Errorf("session %s, over %v, %d wait", s.session.phase, s.session.over, len(r.due.retries))
	}
}

// TestAckAfterTheEpochEnds: the leadership is over, so is the session.
func TestAckAfterTheEpochEnds(t *testing.T) {
	t.Parallel()
	r, l, s, k := openLink(t)
	l.leading = false
	deliver(t, r, kindAck, []ack{{key: k, durableEnd: 1, appendedEnd: 1}})
	if !s.session.over || len(r.due.retries) != 0 || l.follower(2).durable != 0 {
		t.Errorf("session %s, over %v, follower %+v", s.session.phase, s.session.over, *l.follower(2))
	}
}

func TestFollowersFramesOnly(t *testing.T) {
	t.Parallel()
	r, _, _, k := openLink(t)
	for _, b := range [][]byte{
		appendFrame(nil, kindOpen, []open{{key: k}}),
		appendFrame(nil, kindHW, []watermark{{key: k}}),
		appendPing(nil, kindPing, 1),
	} {
		f, err := newFrameReader(bytes.NewReader(b), 1<<20).next()
		if err != nil {
			t.Fatal(err)
		}
		if r.handle(f, time.Now()) == nil {
			t.Errorf("a follower may send %s", f.kind)
		}
	}
}
