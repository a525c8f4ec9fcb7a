package page

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chronik-project/chronik/internal/bench"
)

func of[T any](v T) *T { return &v }

// sample is a run of a minute with a stall at 40 s, text that HTML would take
// for its own, and a follower that is slow in the tail.
func sample() *bench.Report {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &bench.Report{
		Load: bench.LoadOpen, Started: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Settings:  bench.Settings{RatePerSecond: of(2000.0), RecordBytes: 1024, BlocksPerArm: 12, BlockMillis: 5000, Producers: 1, InflightPerBroker: 5, Compression: "none"},
		Generator: bench.Generator{Valid: true, LatenessP50: of(34.2), LatenessP99: of(90.1), LatenessMax: of(400.0)},
		Events: []bench.Event{
			{Millis: 22_000, Kind: bench.EventISR, Detail: "partition 1: in sync 1,2, was 1,2,3"},
			{Millis: 40_000, Kind: bench.EventFault, Detail: "kill-leader: broker 2 <b>\"killed\"</b> & gone"},
		},
		Verification: &bench.Verification{OK: true, Complete: true, Counts: bench.Counts{ReadBack: 240_000}},
		Assertions:   []bench.Assertion{{Text: "p99<10ms", Holds: true}},
		Warnings:     []string{"acks=all: 3 of 120000 records failed; the quantiles leave them out"},
		StagesNotes:  []string{},
	}
	r.Environment.Topic = bench.TopicEnvironment{Name: "chronik-bench-7f3a</script><script>alert(1)</script>", Partitions: 6, ReplicationFactor: of(3), MinInsync: of("2"), Flush: of("fsync")}
	r.Environment.Client = bench.ClientEnvironment{Chronik: of("0.4.0"), Go: "go1.26.8", OS: "linux", Arch: "amd64", CPUModel: of("Example CPU"), CPUs: 2}
	for i, acks := range []bench.Arm{bench.AcksAll, bench.AcksLeader, bench.AcksNone} {
		r.Arms = append(r.Arms, arm(acks, []float64{1920, 880, 40}[i]))
		intervals(r, rng, acks, []float64{1920, 880, 40}[i])
	}
	r.FaultsBeganMs, r.FaultsEndedMs = of(40_000.0), of(47_500.0)
	r.Faults = []bench.FaultRun{{Fault: "at=40s kill-leader for=5s", Action: "kill", Broker: 2, Leader: 2, AtMs: 40_000, TookMs: 11, UndoneMs: of(45_100.0), UnavailableMs: of(526.0), UnavailablePartition: of(int32(0)), Error: "<i>odd</i>"}}
	for _, a := range r.Arms {
		for _, phase := range []string{"before", "during", "after"} {
			r.FaultPhases = append(r.FaultPhases, bench.FaultPhaseReport{Acks: a.Acks, Phase: phase, Response: a.Response})
		}
	}
	r.Replicas = &bench.ReplicaCheck{Replicas: 17, Diverged: []bench.ReplicaProblem{{Broker: 3, Partition: 1, Detail: "7 records"}}}
	r.Stages = []bench.StageReport{{
		Acks: bench.AcksAll, Source: bench.SourceTraces, Records: 119_990, Acked: 120_000,
		Cohorts: []bench.Cohort{
			cohort(bench.CohortMedian, 0.45, 0.55, 1920, 54, 184, 14, 44, 614, 966, 44),
			cohort(bench.CohortTail, 0.985, 0.995, 6420, 214, 244, 96, 62, 1908, 3776, 120),
		},
	}}
	return r
}

func arm(acks bench.Arm, p50 float64) bench.ArmReport {
	q := bench.Quantiles{Count: 120_000, P50: of(p50), P90: of(1.4 * p50), P99: of(3.3 * p50), P999: of(8 * p50), Max: of(40 * p50)}
	a := bench.ArmReport{Acks: acks, LatencyOf: bench.LatencyOfAck, Response: q, Service: q, Lateness: q, AchievedPerSecond: 1999.7, Valid: true}
	if !acks.Acknowledged() {
		a.LatencyOf = bench.LatencyOfSend
	}
	return a
}

// intervals are those of an arm that has a turn of five seconds out of fifteen.
func intervals(r *bench.Report, rng *rand.Rand, acks bench.Arm, p50 float64) {
	turn := len(r.Arms) - 1
	for i := range 60 {
		if i/5%3 != turn {
			continue
		}
		iv := bench.Interval{Acks: acks, Start: r.Started.Add(time.Duration(i) * time.Second), End: r.Started.Add(time.Duration(i+1) * time.Second)}
		for _, h := range []**hdrhistogram.PackedHistogram{&iv.Response, &iv.Service, &iv.Lateness} {
			*h = hdrhistogram.NewPacked(1, int64(10*time.Minute), 3)
			for range 2000 {
				us := p50 * math.Exp(0.3*rng.NormFloat64())
				if h == &iv.Response && i >= 45 && i < 48 {
					us += 400_000 * rng.Float64()
				}
				_ = (*h).RecordValue(int64(us * 1000))
			}
		}
		r.Intervals = append(r.Intervals, iv)
	}
}

func cohort(name string, from, to, mean, client, net, queue, app, fsync, follower, respond float64) bench.Cohort {
	return bench.Cohort{
		Name: name, From: from, To: to, Records: 12_000, Mean: mean, Client: client, Net: net,
		Queue: &queue, Append: &app, Fsync: &fsync, Slowest: &follower, Respond: &respond,
	}
}
