package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLongestGap(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tests := []struct {
		name string
		acks []int
		gap  int
		to   int // -1: never
	}{
		{name: "a stall that begins before the fault", acks: []int{0, 90, 600, 610, 990}, gap: 510, to: 600},
		{name: "acks that were on their way", acks: []int{90, 105, 700, 800, 900}, gap: 595, to: 700},
		{name: "a longer stall before the fault is not its fault", acks: []int{-900, 85, 95, 110, 170, 400, 690, 970}, gap: 290, to: 690},
		{name: "any order", acks: []int{610, 0, 990, 90, 600}, gap: 510, to: 600},
		{name: "never again", acks: []int{50, 99}, gap: 901, to: -1},
		{name: "nothing at all", gap: 900, to: -1},
	}
	for _, tt := range tests {
		var acks []time.Time
		for _, ms := range tt.acks {
			acks = append(acks, at(ms))
		}
		gap, to := longestGap(acks, at(100), at(1000))
		if gap != time.Duration(tt.gap)*time.Millisecond || (tt.to < 0) != to.IsZero() || (tt.to >= 0 && !to.Equal(at(tt.to))) {
			t.Errorf("%s: %s until %s, want %dms until %d", tt.name, gap, to.Sub(start), tt.gap, tt.to)
		}
	}
}

// Two brokers are asked about partition 0, whose leader is 1 and fails at 100 ms.
func TestPhasesOfAFailover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &failing{victim: 1, at: time.Now(), views: []*view{newView(2, 1), newView(3, 1)}}
		say := func(v *view, after time.Duration, leader int32, isr ...int32) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Leader, p.ISR = leader, isr
			v.see([]kmsg.MetadataResponseTopicPartition{p}, f.at.Add(after*time.Millisecond))
		}
		for _, v := range f.views {
			say(v, 10, 1, 1, 2, 3) // nothing yet
		}
		say(f.views[0], 150, -1, 2, 3)
		say(f.views[1], 170, 2, 2, 3)
		say(f.views[0], 240, 2, 2, 3)
		say(f.views[0], 900, 3, 2, 3) // another change, later
		p := FailoverPartition{LeaderBefore: 1, FirstAckMs: ptr(400.0)}
		f.phases(&p)
		if *p.DetectedMs != 150 || *p.ElectedMs != 170 || *p.PropagatedMs != 240 || *p.ClientMs != 230 || *p.LeaderAfter != 2 {
			t.Errorf("detected %v, elected %v, propagated %v, client %v, leader %d", *p.DetectedMs, *p.ElectedMs, *p.PropagatedMs, *p.ClientMs, *p.LeaderAfter)
		}
		silent := FailoverPartition{LeaderBefore: 1}
		(&failing{victim: 1, at: f.at}).phases(&silent)
		if silent.DetectedMs != nil || silent.ElectedMs != nil || silent.ClientMs != nil || silent.LeaderAfter != nil {
			t.Errorf("nobody was asked, and yet %+v", silent)
		}
	})
}

func TestFailoverConfigs(t *testing.T) {
	t.Parallel()
	inflict := func(context.Context, FaultCall) FaultResult { return FaultResult{} }
	tests := []struct {
		name   string
		change func(*FailoverConfig)
	}{
		{name: "two arms", change: func(c *FailoverConfig) { c.Arms = []Arm{AcksAll, AcksLeader} }},
		{name: "no acks", change: func(c *FailoverConfig) { c.Arms = []Arm{AcksNone} }},
		{name: "after the end", change: func(c *FailoverConfig) { c.FaultAt = time.Hour }},
		{name: "no fault", change: func(c *FailoverConfig) { c.Fault.Driver = nil }},
		{name: "closed loop", change: func(c *FailoverConfig) { c.ClosedLoop = true }},
		{name: "more than can be remembered", change: func(c *FailoverConfig) { c.Rate = 1e6 }},
	}
	good := FailoverConfig{Fault: Fault{Driver: inflict}}
	if err := good.withDefaults().validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		if err := c.withDefaults().validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestClaimsOfAFailover(t *testing.T) {
	t.Parallel()
	report := func() *FailoverReport {
		return &FailoverReport{
			Generator: Generator{Valid: true}, Arm: ArmReport{Acks: AcksAll, Offered: 10},
			Partitions: []FailoverPartition{
				{Affected: true, UnavailableMs: ptr(500.0), FirstAckMs: ptr(490.0)},
				{UnavailableMs: ptr(9000.0), FirstAckMs: ptr(1.0)},
				{Affected: true, UnavailableMs: ptr(700.0), FirstAckMs: ptr(690.0)},
			},
		}
	}
	never := report()
	never.Partitions[2].FirstAckMs = nil
	none := report()
	none.Partitions = none.Partitions[1:2]
	for _, tt := range []struct {
		report *FailoverReport
		claim  string
		holds  bool
	}{
		{report: report(), claim: "unavailable<1s", holds: true},
		{report: report(), claim: "unavailable<=700ms", holds: true},
		{report: report(), claim: "unavailable<600ms"},
		{report: never, claim: "unavailable<1h"},
		{report: none, claim: "unavailable<1h"},
		{report: report(), claim: "errors==0", holds: true},
		{report: report(), claim: "valid", holds: true},
		{report: report(), claim: "loss==0"}, // nobody looked
	} {
		claims, err := ParseAssertions(tt.claim)
		if err != nil {
			t.Fatal(err)
		}
		if broken := tt.report.Assert(claims); (len(broken) == 0) != tt.holds || len(tt.report.Assertions) != 1 {
			t.Errorf("%s: %+v", tt.claim, tt.report.Assertions)
		}
	}
	claims, err := ParseAssertions("unavailable<1s")
	if err != nil {
		t.Fatal(err)
	}
	if broken := (&Report{}).Assert(claims); len(broken) != 1 {
		t.Error("a run without a failover claims one")
	}
}
