package bench

import engine "github.com/chronik-project/chronik/internal/bench"

// sampleE2E is a run in which some records were not consumed.
func sampleE2E() *engine.E2EReport {
	r := sampleReport()
	ack := r.Arms[1]
	r.Arms = r.Arms[:1]
	r.Arms[0].LatencyOf = engine.LatencyOfConsumption
	r.Arms[0].ErrorsByCode = map[string]int64{"NOT_ENOUGH_REPLICAS": 4, engine.FailureNotConsumed: 2}
	return &engine.E2EReport{
		Report: *r, Ack: ack, AckToConsumed: quantiles(3327, 310),
		Fetch: engine.Fetching{MinBytes: 1, MaxBytes: 50 << 20, MaxPartitionBytes: 1 << 20, MaxWaitMillis: 5000},
	}
}

// sampleConsumeReport read a topic that it filled.
func sampleConsumeReport() *engine.ConsumeReport {
	r := sampleProduceReport()
	return &engine.ConsumeReport{
		Started: r.Started,
		Settings: engine.ConsumeSettings{
			Consumers: 3, Fetch: engine.Fetching{MinBytes: 1, MaxBytes: 50 << 20, MaxPartitionBytes: 1 << 20, MaxWaitMillis: 5000},
			Filled: true, FilledRecords: 1_000_000, RecordBytes: 1024, Producers: 1, Compression: "snappy",
		},
		Expected: 1_000_000, Records: 1_000_000, Bytes: 1_024_000_000, Millis: 2411.5, FirstMillis: of(21.4),
		RecordsPerSecond: 414679.6, MBPerSecond: 424.6, Seconds: r.Seconds,
		Verification: r.Verification, Environment: r.Environment, Warnings: []string{},
	}
}

// sampleExisting read a topic that was there, and found a duplicate.
func sampleExisting() *engine.ConsumeReport {
	r := sampleConsumeReport()
	r.Settings.Filled, r.Missing, r.Interrupted = false, of(int64(3)), true
	r.Environment.Topic.Temporary = false
	r.Verification = &engine.Verification{
		Counts: engine.Counts{ReadBack: 999_999, Duplicates: 1}, Complete: true, Arms: map[string]engine.Counts{},
		Problems: []engine.Problem{{Kind: "duplicate", Partition: 1, Offset: 7, Producer: 2, Sequence: 9, Detail: "read before"}},
	}
	r.Warnings = []string{"3 records of earlier runs are not there: failed when they were produced, deleted since, or lost"}
	return r
}
