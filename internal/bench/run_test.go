package bench

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeCluster starts brokers that speak the protocol in this process.
func fakeCluster(t *testing.T, brokers int, opts ...kfake.Opt) (*kfake.Cluster, Target) {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(brokers))...)
	if err != nil {
		t.Fatalf("start the fake cluster: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster, Target{Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Version: "test"}
}

// quick is a configuration that a unit test can wait for.
func quick(target Target) Config {
	return Config{Target: target, Rate: 500, Duration: 320 * time.Millisecond, Warmup: 80 * time.Millisecond, WarmupMax: 80 * time.Millisecond}
}

func topicsOf(t *testing.T, target Target) []string {
	t.Helper()
	client, err := kgo.NewClient(target.Client...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	resp, err := req.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range resp.Topics {
		names = append(names, *topic.Topic)
	}
	return names
}

func TestAcksAllMeasuresAndVerifiesEveryArm(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 3)
	var phases []Phase
	target.OnProgress = func(p Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}
	c := quick(target)
	c.Arms = Arms()
	c.Producers = 2
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i, arm := range report.Arms {
		const want = 40 // 500/s for a quarter of 320 ms
		if arm.Acks != Arms()[i] || arm.Offered != want || arm.Sent != want || arm.Errors != 0 {
			t.Errorf("arm %d is %+v, want %d records of acks=%s", i, arm, want, Arms()[i])
		}
		if arm.Response.Count != want || arm.Service.Count != want || arm.Lateness.Count != want {
			t.Errorf("acks=%s: %d response, %d service, %d lateness samples; want %d each",
				arm.Acks, arm.Response.Count, arm.Service.Count, arm.Lateness.Count, want)
		}
		if acknowledged := arm.Acked != nil; acknowledged == (arm.Acks == AcksNone) {
			t.Errorf("acks=%s: acked is %v", arm.Acks, arm.Acked)
		}
		if isSend := strings.Contains(arm.LatencyOf, "not an ack"); isSend != (arm.Acks == AcksNone) {
			t.Errorf("acks=%s: latency is labelled %q", arm.Acks, arm.LatencyOf)
		}
	}
	v := report.Verification
	if !v.OK || v.ReadBack != 4*40+report.Warmup.Records || v.Acked+v.UnackedPresent != v.ReadBack {
		t.Errorf("verification is %+v, want %d records read back", v, 4*40+report.Warmup.Records)
	}
	if len(report.Blocks) != 16 || report.Blocks[0].Acks != AcksAll || report.Blocks[1].Acks != AcksLeader || report.Blocks[4].Acks != AcksAll {
		t.Errorf("blocks are %+v, want four rounds of four arms in turn", report.Blocks)
	}
	if !slices.Contains(phases, PhaseMeasure) {
		t.Errorf("saw the phases %v", phases)
	}
	if topics := topicsOf(t, target); len(topics) != 0 {
		t.Errorf("left behind: %v", topics)
	}
	for i, s := range report.Stages {
		if s.Source != SourceClient || s.Records != 40 || s.Acked != 40 || len(s.Cohorts) != 2 || s.Acks == AcksNone {
			t.Errorf("stages of arm %d are %+v, want 40 records of an acknowledged arm, explained by the client alone", i, s)
		}
		for _, c := range s.Cohorts {
			if c.Client <= 0 || c.Net <= 0 || sumOf(c) != nanos(c.Mean) {
				t.Errorf("acks=%s: %+v does not add up", s.Acks, c)
			}
		}
	}
	if len(report.Stages) != 3 || len(report.StagesNotes) != 1 || !strings.Contains(report.StagesNotes[0], "no broker traces") {
		t.Errorf("%d stages with the notes %q, want it said that there are no traces", len(report.Stages), report.StagesNotes)
	}
	env := report.Environment
	if env.Cluster.ID == nil || len(env.Cluster.Brokers) != 3 || env.Topic.Partitions != 6 || *env.Topic.ReplicationFactor != 3 ||
		len(env.ISR.Start) != 6 || len(env.ISR.End) != 6 || *env.ISR.FullShare != 1 || *env.Client.Chronik != "test" {
		t.Errorf("environment is %+v", env)
	}
}

// Scripts depend on these names.
func TestReportKeepsItsFieldNames(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	c := quick(target)
	c.Arms = []Arm{AcksAll}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Arms         []map[string]any
		Stages       []map[string]any
		Generator    map[string]any
		Verification map[string]any
		Environment  map[string]any
	}
	if err := json.Unmarshal(p, &got); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		object map[string]any
		fields string
	}{
		{name: "arms", object: got.Arms[0], fields: "acks offered_per_second sent acked errors response_us service_us"},
		{name: "stages", object: got.Stages[0], fields: "acks source records acked cohorts"},
		{name: "cohorts", object: got.Stages[0]["cohorts"].([]any)[0].(map[string]any), fields: "cohort mean_us client_us net_us queue_us append_us fsync_us follower_us respond_us follower last replication_estimate_us"},
		{name: "response_us", object: got.Arms[0]["response_us"].(map[string]any), fields: "p50 p90 p99 p999 p9999 max"},
		{name: "generator", object: got.Generator, fields: "lateness_p99_us valid"},
		{name: "verification", object: got.Verification, fields: "acked read_back lost duplicates reordered corrupt"},
		{name: "environment", object: got.Environment, fields: "client cluster topic isr"},
	} {
		for field := range strings.FieldsSeq(tt.fields) {
			if _, ok := tt.object[field]; !ok {
				t.Errorf("%s has no %s", tt.name, field)
			}
		}
	}
}

func TestFailuresAreCountedUnderTheirKafkaName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err     *kerr.Error
		present bool // the broker appends and cannot say so
	}{
		{err: kerr.NotEnoughReplicas},
		{err: kerr.NotLeaderForPartition},
		{err: kerr.NotEnoughReplicasAfterAppend, present: true},
		{err: kerr.RequestTimedOut, present: true},
	}
	for _, tt := range tests {
		t.Run(tt.err.Message, func(t *testing.T) {
			t.Parallel()
			cluster, target := fakeCluster(t, 1)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: tt.err, Count: -1})
			c := quick(target)
			c.Arms, c.Warmup, c.Duration = []Arm{AcksAll}, -1, 100*time.Millisecond
			report, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			arm := report.Arms[0]
			if arm.ErrorsByCode[tt.err.Message] != arm.Offered || arm.Errors != arm.Offered || *arm.Acked != 0 || arm.Failure.Count != arm.Offered {
				t.Errorf("arm is %+v, want all %d failed as %s", arm, arm.Offered, tt.err.Message)
			}
			if arm.Response.Count != 0 || arm.Response.P50 != nil {
				t.Errorf("failed records are in the response times: %+v", arm.Response)
			}
			v := report.Verification
			if !v.OK || (v.UnackedPresent > 0) != tt.present || v.UnackedPresent+v.UnackedMissing != arm.Offered {
				t.Errorf("verification is %+v, want unacked records to be there: %t", v, tt.present)
			}
			if len(report.Warnings) == 0 {
				t.Error("no warning")
			}
		})
	}
}

func TestBrokenConnectionsAreCountedAsSuch(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, errors.New("hang up"), true
	})
	c := quick(target)
	c.Arms, c.Warmup, c.Duration = []Arm{AcksAll}, -1, 100*time.Millisecond
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if arm := report.Arms[0]; arm.ErrorsByCode[FailureDisconnected] != arm.Offered || arm.Offered == 0 {
		t.Errorf("errors of %d records are %v, want %s", arm.Offered, arm.ErrorsByCode, FailureDisconnected)
	}
}

// The callers of a closed loop must not be able to reorder records themselves.
func TestClosedLoopKeepsTheOrderOfItsCallers(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	target.Partitions, target.RecordBytes = 1, StampBytes
	report, err := Run(t.Context(), Config{
		Target: target, Arms: []Arm{AcksLeader, AcksNone}, ClosedLoop: true, Concurrency: 16,
		Duration: 100 * time.Millisecond, Warmup: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Verification; !v.OK || v.ReadBack == 0 {
		t.Errorf("verification is %+v", v)
	}
}

// A broker that acks and forgets must be found out.
func TestLossIsFound(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	dropped := int64(0)
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if dropped > 0 {
			return nil, nil, false
		}
		resp := forget(req.(*kmsg.ProduceRequest))
		dropped++
		return resp, nil, true
	})
	c := quick(target)
	c.Arms, c.Partitions = []Arm{AcksAll}, 1
	// The forgotten offsets are given out again, so that everything after
	// them is as acked.
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	v := report.Verification
	if v.OK || v.Lost == 0 || v.Acked-v.ReadBack != v.Lost || len(v.Problems) == 0 || v.Problems[0].Kind != kindLost {
		t.Errorf("verification is %+v, want a loss", v)
	}
}

// forget answers a produce request as if it had been stored.
func forget(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range req.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition = partition.Partition
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func TestInterruptedRunReportsWhatItHas(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	target.OnProgress = func(p Progress) {
		if p.Phase == PhaseMeasure && p.Acked > 50 {
			cancel()
		}
	}
	c := quick(target)
	c.Arms, c.Duration = []Arm{AcksAll}, time.Hour
	report, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	arm := report.Arms[0]
	if !report.Interrupted || *arm.Acked < 50 || arm.Errors != 0 || arm.MeasuredMillis > time.Minute.Milliseconds() {
		t.Errorf("interrupted is %t after %d ms with %+v", report.Interrupted, arm.MeasuredMillis, arm)
	}
	if !report.Verification.OK {
		t.Errorf("verification is %+v", report.Verification)
	}
	if topics := topicsOf(t, target); len(topics) != 0 {
		t.Errorf("left behind: %v", topics)
	}
}

func TestTopicCanBeKeptAndUsedAgain(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	c := quick(target)
	c.Arms, c.KeepTopic, c.Partitions, c.Duration = []Arm{AcksAll}, true, 2, 200*time.Millisecond
	first, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Topic, c.KeepTopic = first.Environment.Topic.Name, false
	again, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if topics := topicsOf(t, target); !slices.Equal(topics, []string{c.Topic}) {
		t.Errorf("topics are %v, want %s kept", topics, c.Topic)
	}
	if v := again.Verification; !v.OK || v.Foreign != 0 {
		t.Errorf("verification is %+v; the first run's records lie before the second's", v)
	}
}

func TestSetupErrorsSayWhatAndWhy(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	tests := []struct {
		name   string
		config Config
		cause  error
		text   string
	}{
		{name: "more replicas than brokers", config: Config{Target: Target{Client: target.Client, Replicas: 3}}, cause: kerr.InvalidReplicationFactor, text: "3 replicas on 1 brokers"},
		{name: "topic that is not there", config: Config{Target: Target{Client: target.Client, Topic: "nope"}}, cause: kerr.UnknownTopicOrPartition, text: "describe topic nope"},
		{
			name:   "nobody listens",
			config: Config{Target: Target{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(100 * time.Millisecond)}}},
			cause:  ErrUnreachable, text: "ask for the brokers",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Run(t.Context(), tt.config)
			if !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q with cause %v", err, tt.text, tt.cause)
			}
		})
	}
}

func TestProduceCountsAndVerifiesEveryRecord(t *testing.T) {
	t.Parallel()
	for _, arm := range []Arm{AcksAllIdempotent, AcksNone} {
		t.Run(string(arm), func(t *testing.T) {
			t.Parallel()
			_, target := fakeCluster(t, 3)
			target.RecordBytes, target.Producers = 100, 3
			report, err := RunProduce(t.Context(), ProduceConfig{Target: target, Records: 20_000, Arm: arm, Compression: "none"})
			if err != nil {
				t.Fatal(err)
			}
			if report.Sent != 20_000 || report.Errors != 0 || report.RecordsPerSecond <= 0 || report.MBPerSecond <= 0 {
				t.Errorf("report is %+v", report)
			}
			if v := report.Verification; !v.OK || v.ReadBack != 22_000 {
				t.Errorf("verification is %+v, want 22,000 records with warm-up", v)
			}
		})
	}
}
