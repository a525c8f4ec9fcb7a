package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/trace"
)

const us = time.Microsecond

// synthetic makes records of one partition that broker 1 leads, batches of
// three, each with its exchange and trace. wait says how long the commit took
// after the append, and who was last.
func synthetic(n int, seed uint64, wait func(*rand.Rand) (last *int32, d time.Duration)) (samples []sample, exchanges []exchange, traces []ledTrace) {
	random := rand.New(rand.NewPCG(seed, seed))
	some := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	start := time.Now()
	for base := int64(0); base < int64(n); base += 3 {
		start = start.Add(some(time.Millisecond))
		last, waited := wait(random)
		t := trace.Produce{Partition: 4, BaseOffset: base, Count: 3, Began: int64(some(50 * us)), Last: last, Followers: []trace.ProduceFollower{}}
		t.Appended = t.Began + int64(some(20*us))
		t.Committed = t.Appended + int64(waited)
		t.Written = t.Committed + int64(some(90*us))
		for _, id := range []int32{2, 3} {
			sent := t.Appended + int64(some(30*us))
			f := trace.ProduceFollower{Broker: id, Sent: &sent, Acked: t.Committed, Fsync: int64(some(waited + us)), Queue: int64(some(waited + us))}
			if random.IntN(10) == 0 {
				f.Sent = nil
			}
			t.Followers = append(t.Followers, f)
		}
		e := exchange{partition: 4, base: base, wrote: start.Add(some(100 * us))}
		e.read = e.wrote.Add(time.Duration(t.Written) + some(200*us))
		for i := range int64(3) {
			samples = append(samples, sample{partition: 4, offset: base + i, due: start, sent: start.Add(us), acked: e.read.Add(some(40 * us))})
		}
		exchanges, traces = append(exchanges, e), append(traces, ledTrace{leader: 1, Produce: &t})
	}
	random.Shuffle(len(exchanges), func(i, j int) { exchanges[i], exchanges[j] = exchanges[j], exchanges[i] })
	random.Shuffle(len(traces), func(i, j int) { traces[i], traces[j] = traces[j], traces[i] })
	return samples, exchanges, traces
}

func id(n int32) *int32 { return &n }

// nanos is a time of a report, which is exact to the nanosecond.
func nanos(us float64) int64 { return int64(math.Round(us * 1000)) }

func sumOf(c Cohort) int64 {
	sum := nanos(c.Client) + nanos(c.Net)
	for _, us := range []*float64{c.Queue, c.Append, c.Fsync, c.Slowest, c.Respond} {
		if us != nil {
			sum += nanos(*us)
		}
	}
	return sum
}

// The stages of a cohort add up to the mean of what was measured of its
// records, to the nanosecond, whoever was last and whatever followers told.
func TestStagesAddUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		wait func(*rand.Rand) (*int32, time.Duration)
	}{
		{name: "the leader's disk", wait: func(r *rand.Rand) (*int32, time.Duration) {
			return id(1), time.Duration(r.Int64N(int64(time.Millisecond)))
		}},
		{name: "followers in turn", wait: func(r *rand.Rand) (*int32, time.Duration) {
			return id(2 + r.Int32N(2)), time.Duration(r.ExpFloat64() * 1e6)
		}},
		{name: "anybody", wait: func(r *rand.Rand) (*int32, time.Duration) {
			return id(1 + r.Int32N(3)), time.Duration(r.ExpFloat64() * 1e6)
		}},
		{name: "in-sync changes", wait: func(r *rand.Rand) (*int32, time.Duration) { return nil, time.Second }},
		{name: "a follower that is not in the trace", wait: func(r *rand.Rand) (*int32, time.Duration) { return id(9), time.Millisecond }},
		{name: "no wait", wait: func(r *rand.Rand) (*int32, time.Duration) { return id(1), 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			samples, exchanges, traces := synthetic(3001, 7, tt.wait)
			j := &joiner{traced: true}
			j.join(samples, exchanges, traces)
			report := j.report(AcksAll)
			if report.Records != int64(len(samples)) || report.Acked != report.Records || len(report.Cohorts) != 3 {
				t.Fatalf("explained %d of %d in %d cohorts", report.Records, report.Acked, len(report.Cohorts))
			}
			// Of each record already: the means are rounded so that they add up, and
			// would hide a stage that is missing.
			for _, p := range j.kept.paths {
				var stages, hops time.Duration
				for _, d := range p.stages {
					stages += d
				}
				for _, d := range p.hops {
					hops += d
				}
				if stages != p.total || hops != p.stages[stageFollower] {
					t.Fatalf("stages add up to %d of %d ns, the follower's path to %d of %d ns", stages, p.total, hops, p.stages[stageFollower])
				}
			}
			slices.SortFunc(samples, func(a, b sample) int { return int(a.acked.Sub(a.due) - b.acked.Sub(b.due)) })
			for _, c := range report.Cohorts {
				in := samples[int(c.From*float64(len(samples))):int(math.Ceil(c.To*float64(len(samples))))]
				var total time.Duration
				for _, s := range in {
					total += s.acked.Sub(s.due)
				}
				measured := int64(math.Round(float64(total) / float64(len(in))))
				if got := sumOf(c); c.Records != len(in) || nanos(c.Mean) != measured || got != measured {
					t.Errorf("%s: %d records, mean %d ns, stages add up to %d ns; measured %d ns of %d records", c.Name, c.Records, nanos(c.Mean), got, measured, len(in))
				}
				f := c.Follower
				if got, want := nanos(f.Link)+nanos(f.Net)+nanos(f.Queue)+nanos(f.Fsync)+nanos(f.Other), nanos(*c.Slowest); got != want {
					t.Errorf("%s: the follower's path adds up to %d ns of %d ns", c.Name, got, want)
				}
				var shares float64
				for _, l := range c.Last {
					shares += l.Share
				}
				if math.Abs(shares-1) > 1e-9 {
					t.Errorf("%s: shares %+v", c.Name, c.Last)
				}
				if c.Client < 0 || c.Net < 0 || *c.Queue < 0 || *c.Append < 0 || *c.Respond < 0 || f.Net < 0 {
					t.Errorf("%s: negative times: %+v", c.Name, c)
				}
			}
		})
	}
}

// A follower that is slow one time in twenty is not seen at the median, and is
// to blame for the tail.
func TestTailNamesItsFollower(t *testing.T) {
	t.Parallel()
	samples, exchanges, traces := synthetic(30_000, 3, func(r *rand.Rand) (*int32, time.Duration) {
		if r.IntN(20) == 0 {
			return id(3), 20 * time.Millisecond
		}
		return id(1), time.Millisecond
	})
	j := &joiner{traced: true}
	j.join(samples, exchanges, traces)
	report := j.report(AcksAll)
	median, tail := report.Cohorts[0], report.Cohorts[1]
	if median.Last[0].Role != RoleLeader || *median.Slowest != 0 || *median.Fsync != 1000 {
		t.Errorf("median: %+v", median)
	}
	if l := tail.Last[0]; l.Role != RoleFollower || *l.Broker != 3 || l.Share != 1 || *tail.Fsync != 0 || *tail.Slowest != 20_000 {
		t.Errorf("tail: %+v", tail)
	}
}

// Records are joined with the batch that holds their offset, of their own
// partition, whenever it came; and with nothing else.
func TestJoinByOffset(t *testing.T) {
	t.Parallel()
	at := time.Now()
	led := func(partition int32, base int64, count int32, began int64) ledTrace {
		return ledTrace{leader: 1, Produce: &trace.Produce{Partition: partition, BaseOffset: base, Count: count, Began: began, Last: id(1)}}
	}
	j := &joiner{traced: true}
	j.join(nil, nil, []ledTrace{led(0, 0, 2, 100), led(1, 0, 10, 200)})
	j.join([]sample{
		{partition: 0, offset: 1, due: at, acked: at},
		{partition: 1, offset: 9, due: at, acked: at},
		{partition: 0, offset: 2, due: at, acked: at},  // nobody knows it
		{partition: 0, offset: 10, due: at, acked: at}, // in the new ones
		{partition: 2, offset: 0, due: at, acked: at},  // another partition
	}, nil, []ledTrace{led(0, 10, 1, 300), led(0, 10, 1, 400)})
	var began []time.Duration
	for _, p := range j.kept.paths {
		began = append(began, p.stages[stageQueue])
	}
	if !slices.Equal(began, []time.Duration{100, 200, 400}) || j.acked != 5 {
		t.Errorf("joined %v of %d", began, j.acked)
	}
	j.join(nil, nil, nil)
	if len(j.recent) != 0 {
		t.Errorf("keeps %v for good", j.recent)
	}
}

// Without traces there is the client's own view, and an estimate that is called one.
func TestStagesOfForeignClusters(t *testing.T) {
	t.Parallel()
	var reports []StageReport
	for i, arm := range []Arm{AcksAll, AcksLeader} {
		samples, exchanges, _ := synthetic(3000, uint64(i), func(*rand.Rand) (*int32, time.Duration) { return nil, time.Duration(2-i) * time.Millisecond })
		j := &joiner{}
		j.join(samples, exchanges, nil)
		reports = append(reports, j.report(arm))
	}
	estimateReplication(reports)
	for _, r := range reports {
		for _, c := range r.Cohorts {
			if r.Source != SourceClient || c.Queue != nil || c.Slowest != nil || c.Follower != nil || len(c.Last) != 0 || sumOf(c) != nanos(c.Mean) {
				t.Errorf("acks=%s: %+v", r.Acks, c)
			}
			switch {
			case r.Acks == AcksLeader && c.ReplicationEstimate != nil:
				t.Errorf("acks=1 replicates for %v us", *c.ReplicationEstimate)
			case r.Acks == AcksAll && (c.ReplicationEstimate == nil || math.Abs(*c.ReplicationEstimate-1000) > 100):
				t.Errorf("%s: replication is estimated at %v, want a millisecond", c.Name, c.ReplicationEstimate)
			}
		}
	}
}

func TestApportion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		total time.Duration
		parts []time.Duration
		want  []time.Duration
	}{
		{total: 10, parts: []time.Duration{1, 1, 1}, want: []time.Duration{4, 3, 3}},
		{total: 2, parts: []time.Duration{1, 98, 1}, want: []time.Duration{0, 2, 0}},
		{total: 100, parts: []time.Duration{0, 7}, want: []time.Duration{0, 100}},
		{total: 5, parts: []time.Duration{0, 0}, want: []time.Duration{0, 0}},
	}
	for _, tt := range tests {
		if got := Apportion(tt.total, tt.parts); !slices.Equal(got, tt.want) {
			t.Errorf("%v by %v is %v, want %v", tt.total, tt.parts, got, tt.want)
		}
	}
}
