package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestE2EFollowsEveryRecordToTheConsumer(t *testing.T) {
	t.Parallel()
	for _, arm := range Arms() {
		t.Run(string(arm), func(t *testing.T) {
			t.Parallel()
			_, target := fakeCluster(t, 3)
			c := E2EConfig{Config: quick(target)}
			c.Arms, c.Producers, c.KeepIntervals = []Arm{arm}, 2, true
			report, err := RunE2E(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			const want = 160 // 500/s for 320 ms
			got := report.Arms[0]
			if got.Offered != want || got.Errors != 0 || got.Response.Count != want || got.Service.Count != want || got.LatencyOf != LatencyOfConsumption {
				t.Errorf("consumed: %+v, want %d records", got, want)
			}
			if report.Ack.Response.Count != want || report.AckToConsumed.Count != want {
				t.Errorf("%d acked, %d from ack to consumed, want %d each", report.Ack.Response.Count, report.AckToConsumed.Count, want)
			}
			if v := report.Verification; !v.OK || v.ReadBack != want+report.Warmup.Records {
				t.Errorf("verification is %+v, want %d records", v, want+report.Warmup.Records)
			}
			for _, h := range Hops() {
				var log bytes.Buffer
				if err := report.WriteHopLog(&log, h); err != nil {
					t.Fatal(err)
				}
				first, err := hdrhistogram.NewHistogramLogReader(&log).NextIntervalHistogram()
				if err != nil || first.TotalCount() != want {
					t.Errorf("the log of %s has %v records in its first second (%v), want %d", h, first, err, want)
				}
			}
			if topics := topicsOf(t, target); len(topics) != 0 {
				t.Errorf("left behind: %v", topics)
			}
		})
	}
}

// What holds fetches up must show from produce to consume, and in no ack.
func TestE2EShowsWhatHoldsConsumersUp(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	c := E2EConfig{Config: quick(target), Fetch: Fetching{MinBytes: 10 << 20, MaxWaitMillis: 150}}
	c.Warmup = -1
	report, err := RunE2E(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	const most = 75_000 // microseconds: half of what brokers wait
	if way, after := *report.Arms[0].Response.Max, *report.AckToConsumed.Max; way < most || after < most {
		t.Errorf("consumed after %.0f us at most, %.0f us after the ack; brokers held fetches up for 150 ms", way, after)
	}
}

func TestE2ECountsWhatIsNotConsumed(t *testing.T) {
	t.Parallel()
	p := newPassage()
	start := time.Now()
	p.open(start, false)
	for sequence := range uint64(4) {
		p.departed(sequence, start, start.Add(time.Millisecond))
	}
	p.arrived(0, start.Add(20*time.Millisecond)) // before its ack
	p.arrived(0, start.Add(25*time.Millisecond)) // and again
	p.acked(0, start.Add(30*time.Millisecond))
	p.acked(1, start.Add(10*time.Millisecond))
	p.arrived(1, start.Add(50*time.Millisecond))
	p.arrived(1, start.Add(90*time.Millisecond)) // a duplicate is no second success
	p.failed(2, "NOT_ENOUGH_REPLICAS", start)
	p.arrived(2, start.Add(time.Millisecond))
	p.acked(3, start.Add(time.Millisecond)) // and is never consumed
	consumed, afterAck := p.recorders()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing more comes
	consumed.drain(ctx, FailureNotConsumed)
	if got, want := consumed.tally(), (tally{Offered: 4, Acked: 2, Failed: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if errs := consumed.failures(); errs[FailureNotConsumed] != 1 || errs["NOT_ENOUGH_REPLICAS"] != 1 {
		t.Errorf("failures are %v", errs)
	}
	if n, most := afterAck.response.count(), time.Duration(afterAck.response.hdr.Max()); n != 2 || most.Round(time.Millisecond) != 40*time.Millisecond {
		t.Errorf("%d records took up to %s from ack to consumed, want 2 and 40ms", n, most)
	}
	if len(p.onTheWay) != 1 {
		t.Errorf("%d records are on the way, want the one that was not consumed", len(p.onTheWay))
	}
}

func TestE2EFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		return forget(req.(*kmsg.ProduceRequest)), nil, true // once
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	target.OnProgress = func(p Progress) {
		if p.Phase == PhaseMeasure && p.Elapsed > 400*time.Millisecond {
			cancel() // nobody waits half a minute for what is lost
		}
	}
	c := E2EConfig{Config: quick(target)}
	c.Warmup, c.Partitions = -1, 1
	report, err := RunE2E(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Verification; v.OK || v.Lost == 0 {
		t.Errorf("verification is %+v, want a loss", v)
	}
	if report.Arms[0].ErrorsByCode[FailureNotConsumed] == 0 {
		t.Errorf("failures are %v, want some that were not consumed", report.Arms[0].ErrorsByCode)
	}
}

func TestE2EConfigs(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*E2EConfig){
		"two arms":          func(c *E2EConfig) { c.Arms = []Arm{AcksAll, AcksLeader} },
		"a closed loop":     func(c *E2EConfig) { c.ClosedLoop = true },
		"too small a fetch": func(c *E2EConfig) { c.Fetch.MaxBytes = 10 },
		"an endless wait":   func(c *E2EConfig) { c.Fetch.MaxWaitMillis = 3_600_000 },
		"no bytes at all":   func(c *E2EConfig) { c.Fetch.MinBytes = -1 },
	} {
		var c E2EConfig
		change(&c)
		if err := c.withDefaults().validate(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
