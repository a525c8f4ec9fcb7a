package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed now into testdata")

// golden compares got with a file. Of -o json and tsv, fields may be added,
// never changed: scripts read them.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -rewrite accepts it); got:\n%s\nwant:\n%s", path, got, want)
	}
}

func of[T any](v T) *T { return &v }

// quantiles makes a plausible set around a median, in microseconds.
func quantiles(count int64, p50 float64) engine.Quantiles {
	return engine.Quantiles{
		Count: count, P50: of(p50), P90: of(2 * p50), P99: of(4 * p50), P999: of(8 * p50), Max: of(10 * p50),
	}
}

// sampleReport is a run in which a record was lost and some failed.
func sampleReport() *engine.Report {
	arm := func(acks engine.Arm, latencyOf string, p50 float64, acked *int64, byCode map[string]int64) engine.ArmReport {
		failed := int64(0)
		for _, n := range byCode {
			failed += n
		}
		return engine.ArmReport{
			Acks: acks, LatencyOf: latencyOf, MeasuredMillis: 3333, OfferedPerSecond: of(1000.0), AchievedPerSecond: 999.1,
			Offered: 3333, Sent: 3333 - byCode[engine.FailureShed], Acked: acked, Errors: failed, ErrorsByCode: byCode,
			Response: quantiles(3333-failed, p50), Service: quantiles(3333-failed, p50-30), Lateness: quantiles(3333, 30), Valid: true,
		}
	}
	partition := engine.PartitionState{Partition: 0, Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}}
	lost := engine.Counts{Acked: 6660, ReadBack: 9992, Lost: 1, UnackedPresent: 3333, UnackedMissing: 6}
	all := arm(engine.AcksAll, engine.LatencyOfAck, 1920, of(int64(3327)), map[string]int64{"NOT_ENOUGH_REPLICAS": 4, engine.FailureShed: 2})
	all.Service.P99 = of(2350.0) // a stall: most of the records that it held up were not sent yet
	return &engine.Report{
		Load: engine.LoadOpen, Started: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Settings: engine.Settings{
			RatePerSecond: of(1000.0), Arrival: of(engine.Uniform), DurationMillis: 10_000, WarmupMillis: 3000, WarmupMaxMillis: 60_000,
			BlockMillis: 833, BlocksPerArm: 4, RecordBytes: 1024, Producers: 1, Compression: "none",
			InflightPerBroker: 5, Partitioner: "round-robin", Attempts: "1; all+idempotent retries", MaxBuffered: 10_000, AckTimeoutMillis: 10_000,
		},
		Arms: []engine.ArmReport{
			all,
			arm(engine.AcksLeader, engine.LatencyOfAck, 880, of(int64(3333)), map[string]int64{}),
			arm(engine.AcksNone, engine.LatencyOfSend, 40, nil, map[string]int64{}),
		},
		Blocks: []engine.BlockReport{{
			Acks: engine.AcksAll, Millis: 833, Offered: 833, Acked: 833, P50: of(1920.0), P99: of(7000.0), Max: of(9000.5),
		}},
		Stages: sampleStages(), StagesNotes: []string{},
		Faults: []engine.FaultRun{}, FaultPhases: []engine.FaultPhaseReport{},
		Events:    []engine.Event{{Millis: 2100, Kind: engine.EventISR, Detail: "partition 1: in sync 1,2, was 1,2,3"}},
		Warmup:    engine.WarmupReport{Millis: 3010, Records: 3000, ErrorsByCode: map[string]int64{}, Converged: of(true), WindowMillis: 250, Windows: []engine.WarmupWindow{{Acks: engine.AcksAll, Records: 250, P50: of(2100.5)}}},
		Generator: engine.Generator{Pacing: of(engine.PacingRealtime), LatenessP50: of(34.2), LatenessP99: of(90.1), LatenessMax: of(400.0), Shed: 2, Valid: true},
		Verification: &engine.Verification{
			Counts: lost, Complete: true, Arms: map[string]engine.Counts{"all": lost},
			Problems: []engine.Problem{{Kind: "lost", Acks: "all", Partition: 3, Offset: 77, Producer: 0, Sequence: 465, Detail: "acked at this offset, and never read"}},
		},
		Environment: engine.Environment{
			Client: engine.ClientEnvironment{
				Chronik: of("0.4.0"), FranzGo: of("v1.22.2"), Go: "go1.26.8", OS: "linux", Arch: "amd64",
				Kernel: of("6.18.0"), CPUModel: of("Example CPU"), CPUs: 2, GOMAXPROCS: 2, ClockSource: of("tsc"), MemoryBytes: of(int64(1 << 34)),
				LoadStart: of(0.25), LoadEnd: of(1.5),
			},
			Cluster: engine.ClusterEnvironment{
				ID: of("Xb3kQ"), Controller: of(int32(1)),
				Brokers: []engine.BrokerEnvironment{{ID: 1, Host: "127.0.0.1", Port: 9092, APIs: of("v4.0"), DataDir: of("/data/1"), Filesystem: of("ext4")}},
			},
			Topic: engine.TopicEnvironment{
				Name: "chronik-bench-7f3a0001", ID: of("6b1fAAAAAAAAAAAAAAAAAA"), Temporary: true, Partitions: 6, ReplicationFactor: of(3),
				MinInsync: of("2"), Flush: of("fsync"), Configs: map[string]*string{"min.insync.replicas": of("2")},
			},
			ISR: engine.ISREnvironment{
				Start: []engine.PartitionState{partition}, End: []engine.PartitionState{partition}, FullShare: of(1.0), Smallest: of(3),
			},
		},
		Assertions: []engine.Assertion{{Text: "p99<10ms", Holds: true, Detail: "acks=all: 7.68ms, acks=1: 3.52ms"}, {Text: "loss==0", Detail: "loss is 1"}},
		Warnings:   []string{"acks=all: 6 of 3333 records failed; the quantiles leave them out"},
	}
}

// faultyReport is a run in which a leader was killed and came back, and a command
// failed.
func faultyReport() *engine.Report {
	r := sampleReport()
	r.Faults = []engine.FaultRun{
		{
			Fault: "at=2s kill-leader for=3s", Action: engine.FaultKill, Broker: 1, Leader: 1, AtMs: 2000.1, TookMs: 11.2, UndoneMs: of(5210.4),
			UnavailableMs: of(526.2), UnavailablePartition: of(int32(0)), FirstAckMs: of(523.1),
		},
		{Fault: "at=6s exec-leader partition=2", Action: engine.FaultExec, Partition: 2, Broker: 2, Leader: 2, AtMs: 6000, TookMs: 3.5, UnavailableMs: of(4000.0), UnavailablePartition: of(int32(2)), Error: "ssh: exit status 255: no route"},
	}
	r.FaultsBeganMs, r.FaultsEndedMs = of(2000.1), of(7300.5)
	for i, phase := range []string{"before", "during", "after"} {
		r.FaultPhases = append(r.FaultPhases, engine.FaultPhaseReport{Acks: engine.AcksAll, Phase: phase, Response: quantiles(1000, []float64{1900, 2400, 1950}[i]), Errors: int64(i % 2 * 6)})
	}
	r.Events = []engine.Event{
		{Millis: 2000, Kind: engine.EventFault, Detail: "kill: broker 1, the leader of partition 0"},
		{Millis: 2600, Kind: engine.EventLeader, Detail: "partition 0: leader 2, was 1"},
		{Millis: 6000, Kind: engine.EventFault, Detail: "exec: broker 2, the leader of partition 2: FAILED: ssh: exit status 255: no route", ExitCode: of(255), Output: "no route"},
		{Millis: 7300, Kind: engine.EventRecovered, Detail: "every replica is in sync again"},
	}
	r.Replicas = &engine.ReplicaCheck{OK: true, Replicas: 18, Diverged: []engine.ReplicaProblem{}, Unread: []engine.ReplicaProblem{}}
	r.Verification = &engine.Verification{OK: true, Complete: true, Counts: engine.Counts{ReadBack: 9990, LostUnpromised: 3}, Arms: map[string]engine.Counts{}, Problems: []engine.Problem{}}
	return r
}

// sampleStages are those of a cluster with traces: follower 3 is slow, but only
// in the tail. Their rounded parts would not add up by themselves.
func sampleStages() []engine.StageReport {
	cohort := func(name string, from, to, follower float64, last ...engine.LastShare) engine.Cohort {
		return engine.Cohort{
			Name: name, From: from, To: to, Records: 333, Mean: 924.444 + follower, Client: 54.004, Net: 184.111,
			Queue: of(14.444), Append: of(14.555), Fsync: of(614.666), Slowest: of(follower), Respond: of(42.664),
			Follower: &engine.FollowerPath{Link: follower / 10, Net: follower / 5, Fsync: follower * 0.7}, Last: last,
		}
	}
	return []engine.StageReport{{
		Acks: engine.AcksAll, Source: engine.SourceTraces, Records: 3320, Acked: 3327,
		Cohorts: []engine.Cohort{
			cohort(engine.CohortMedian, 0.45, 0.55, 0, engine.LastShare{Broker: of(int32(1)), Role: engine.RoleLeader, Share: 0.6}, engine.LastShare{Broker: of(int32(2)), Role: engine.RoleLeader, Share: 0.4}),
			cohort(engine.CohortTail, 0.985, 0.995, 5500.3, engine.LastShare{Broker: of(int32(3)), Role: engine.RoleFollower, Share: 0.79}, engine.LastShare{Broker: of(int32(1)), Role: engine.RoleLeader, Share: 0.2}, engine.LastShare{Role: engine.RoleChange, Share: 0.01}),
			cohort(engine.CohortAll, 0, 1, 300, engine.LastShare{Broker: of(int32(1)), Role: engine.RoleLeader, Share: 1}),
		},
	}}
}

// foreignStages are those of a cluster without traces.
func foreignStages() (stages []engine.StageReport, notes []string) {
	cohort := func(mean float64, estimate *float64) []engine.Cohort {
		return []engine.Cohort{{
			Name: engine.CohortMedian, From: 0.45, To: 0.55, Records: 333, Mean: mean, Client: 54.25, Net: mean - 54.25,
			Last: []engine.LastShare{}, ReplicationEstimate: estimate,
		}}
	}
	return []engine.StageReport{
		{Acks: engine.AcksAll, Source: engine.SourceClient, Records: 3327, Acked: 3327, Cohorts: cohort(1920, of(1040.0))},
		{Acks: engine.AcksLeader, Source: engine.SourceClient, Records: 3333, Acked: 3333, Cohorts: cohort(880, nil)},
	}, []string{"no broker traces (broker 1: it names no HTTP listener with traces): the stages beyond the client are unknown, and the cost of replication is estimated from acks=all less acks=1"}
}

// sampleSearch found a knee.
func sampleSearch() *engine.SweepReport {
	step := func(rate float64, holds bool, limit, detail string) engine.SweepStep {
		r := sampleReport()
		r.Arms, r.Settings.RatePerSecond, r.Verification = r.Arms[:1], &rate, &engine.Verification{OK: true, Complete: true}
		r.Arms[0].Errors, r.Arms[0].AchievedPerSecond = 0, rate-1
		r.Arms[0].Valid = limit != engine.LimitGenerator
		return engine.SweepStep{RatePerSecond: rate, Holds: &holds, Limit: limit, Detail: detail, Report: r}
	}
	return &engine.SweepReport{
		Started: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), SLO: []string{"p99<10ms"},
		Steps: []engine.SweepStep{
			step(1000, true, "", ""), step(2000, false, engine.LimitGenerator, "late"),
			step(2000, false, engine.LimitSLO, "p99<10ms: acks=all: 12ms"), step(1000, true, "", ""),
		},
		Knee: &engine.Knee{RatePerSecond: of(1000.0), BrokeAt: of(2000.0), Limit: engine.LimitSLO, Detail: "p99<10ms: acks=all: 12ms"},
	}
}

func sampleProduceReport() *engine.ProduceReport {
	r := sampleReport()
	return &engine.ProduceReport{
		Started: r.Started,
		Settings: engine.ProduceSettings{
			Acks: engine.AcksAllIdempotent, Records: 1_000_000, WarmupRecords: 10_000, RecordBytes: 1024, Producers: 1,
			LingerMicros: 10_000, Compression: "snappy", Partitioner: "client default (sticky)", AckTimeoutMillis: 10_000,
		},
		Sent: 1_000_000, Acked: of(int64(1_000_000)), ErrorsByCode: map[string]int64{},
		Seconds: []engine.Second{{Records: 300_000, Bytes: 307_200_000}, {Millis: 1000, Records: 290_000, Bytes: 296_960_000}, {Millis: 2000, Records: 410_000, Bytes: 419_840_000}},
		Millis:  4812.7, RecordsPerSecond: 207783.6, MBPerSecond: 212.8, Ack: quantiles(1_000_000, 42_000),
		Verification: &engine.Verification{
			Counts: engine.Counts{Acked: 1_010_000, ReadBack: 1_010_000}, OK: true, Complete: true,
			Arms: map[string]engine.Counts{}, Problems: []engine.Problem{},
		},
		Environment: r.Environment, Warnings: []string{},
	}
}

// sampleFailover moved one of two partitions.
func sampleFailover() *engine.FailoverReport {
	r := sampleReport()
	return &engine.FailoverReport{
		Started: r.Started, Settings: r.Settings, Arm: r.Arms[1], Generator: r.Generator, Environment: r.Environment, Warnings: []string{},
		Fault:  engine.FaultReport{Kind: faultKill, Broker: 1, AtMs: 5000.1, TookMs: 11.2},
		Events: []engine.Event{{Millis: 5000, Kind: engine.EventFault, Detail: "kill of broker 1, the leader of partition 0"}},
		Partitions: []engine.FailoverPartition{
			{
				Partition: 0, Affected: true, LeaderBefore: 1, LeaderAfter: of(int32(2)), UnavailableMs: of(526.2), FirstAckMs: of(523.1),
				DetectedMs: of(150.0), ElectedMs: of(160.5), PropagatedMs: of(171.0), ClientMs: of(362.6),
			},
			{Partition: 1, LeaderBefore: 2, LeaderAfter: of(int32(2)), UnavailableMs: of(12.3), FirstAckMs: of(14.0)},
			{Partition: 2, Affected: true, LeaderBefore: 1, UnavailableMs: of(15000.0)},
		},
		Verification: &engine.Verification{OK: true, Complete: true, Counts: engine.Counts{ReadBack: 20_000}, Arms: map[string]engine.Counts{}, Problems: []engine.Problem{}},
		Replicas: &engine.ReplicaCheck{
			Replicas: 8, Diverged: []engine.ReplicaProblem{{Broker: 1, Partition: 0, Detail: "7 records with digest 1"}},
			Unread: []engine.ReplicaProblem{{Broker: 3, Partition: 2, Detail: "at offset 0 of 9: no answer"}},
		},
	}
}

func TestResultsAreGolden(t *testing.T) {
	t.Parallel()
	interrupted := sampleReport()
	interrupted.Interrupted, interrupted.Load, interrupted.Verification = true, engine.LoadClosed, nil
	interrupted.Settings.RatePerSecond, interrupted.Settings.Arrival, interrupted.Settings.Concurrency = nil, nil, of(16)
	invalid := sampleReport()
	invalid.Warmup.Converged = of(false)
	invalid.Generator.Valid, invalid.Generator.Reason = false, of("acks=all: the generator was late by 3ms at p99; at most 1ms would do")
	invalid.Verification.Complete, invalid.Verification.Lost, invalid.Verification.Unverified = false, 0, 1
	invalid.Verification.Reason = "partition 3: the broker returns nothing more"
	foreign := sampleReport()
	foreign.Stages, foreign.StagesNotes = foreignStages()
	tests := []struct {
		name   string
		result *out.Result
		format out.Format
	}{
		{name: "acks_all.txt", result: acksAllResult(sampleReport()), format: out.Table},
		{name: "acks_all_wide.txt", result: acksAllResult(sampleReport()), format: out.Wide},
		{name: "acks_all.json", result: acksAllResult(sampleReport()), format: out.JSON},
		{name: "acks_all.tsv", result: acksAllResult(sampleReport()), format: out.TSV},
		{name: "acks_all_interrupted.txt", result: acksAllResult(interrupted), format: out.Table},
		{name: "acks_all_invalid.txt", result: acksAllResult(invalid), format: out.Table},
		{name: "acks_all_foreign.txt", result: acksAllResult(foreign), format: out.Table},
		{name: "acks_all_faults.txt", result: acksAllResult(faultyReport()), format: out.Table},
		{name: "acks_all_faults.json", result: acksAllResult(faultyReport()), format: out.JSON},
		{name: "find_max.txt", result: sweepResult(sampleSearch()), format: out.Table},
		{name: "find_max.json", result: sweepResult(sampleSearch()), format: out.JSON},
		{name: "find_max.tsv", result: sweepResult(sampleSearch()), format: out.TSV},
		{name: "compare.txt", result: compareResult(sampleComparison()), format: out.Table},
		{name: "compare_wide.txt", result: compareResult(sampleComparison()), format: out.Wide},
		{name: "compare.json", result: compareResult(sampleComparison()), format: out.JSON},
		{name: "compare.tsv", result: compareResult(sampleComparison()), format: out.TSV},
		{name: "failover.txt", result: failoverResult(sampleFailover()), format: out.Table},
		{name: "failover.json", result: failoverResult(sampleFailover()), format: out.JSON},
		{name: "failover.tsv", result: failoverResult(sampleFailover()), format: out.TSV},
		{name: "produce.txt", result: produceResult(sampleProduceReport()), format: out.Table},
		{name: "produce.json", result: produceResult(sampleProduceReport()), format: out.JSON},
		{name: "e2e.txt", result: e2eResult(sampleE2E()), format: out.Table},
		{name: "e2e.json", result: e2eResult(sampleE2E()), format: out.JSON},
		{name: "e2e.tsv", result: e2eResult(sampleE2E()), format: out.TSV},
		{name: "consume.txt", result: consumeResult(sampleConsumeReport()), format: out.Table},
		{name: "consume_existing.txt", result: consumeResult(sampleExisting()), format: out.Table},
		{name: "consume.json", result: consumeResult(sampleConsumeReport()), format: out.JSON},
		{name: "consume.tsv", result: consumeResult(sampleConsumeReport()), format: out.TSV},
		{name: "produce.tsv", result: produceResult(sampleProduceReport()), format: out.TSV},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var buf bytes.Buffer
			now := func() time.Time { return time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC) }
			if err := out.Print(&buf, out.Options{Format: tt.format, Now: now}, tt.result); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, buf.Bytes())
		})
	}
}
