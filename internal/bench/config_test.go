package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestParseArms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text string
		want []Arm
		err  bool
	}{
		{name: "all three", text: "all,1,0", want: []Arm{AcksAll, AcksLeader, AcksNone}},
		{name: "spaces", text: " 0 , all", want: []Arm{AcksNone, AcksAll}},
		{name: "as on the wire", text: "-1", want: []Arm{AcksAll}},
		{name: "idempotent", text: "all,all+idempotent", want: []Arm{AcksAll, AcksAllIdempotent}},
		{name: "unknown", text: "all,2", err: true},
		{name: "empty", text: "", err: true},
		{name: "twice", text: "all,-1", err: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseArms(tt.text)
			if (err != nil) != tt.err || !slices.Equal(got, tt.want) {
				t.Errorf("ParseArms(%q) is %v, %v; want %v, error %t", tt.text, got, err, tt.want, tt.err)
			}
			if err != nil && !errors.Is(err, ErrConfig) {
				t.Errorf("%v is not an ErrConfig", err)
			}
		})
	}
}

// The comparison of the arms is fair only if acks is all they differ in.
func TestArmsDifferInNothingButAcks(t *testing.T) {
	t.Parallel()
	for _, arm := range []Arm{AcksAll, AcksLeader, AcksNone} {
		client, err := kgo.NewClient(append(Config{}.withDefaults().loadOptions(), arm.options()...)...)
		if err != nil {
			t.Fatalf("acks=%s: %v", arm, err)
		}
		for _, tt := range []struct {
			name string
			opt  any
			want any
		}{
			{name: "linger", opt: kgo.ProducerLinger, want: time.Duration(0)},
			{name: "compression", opt: kgo.ProducerBatchCompression, want: []kgo.CompressionCodec{kgo.NoCompression()}},
			{name: "no idempotence", opt: kgo.DisableIdempotentWrite, want: true},
			{name: "in flight", opt: kgo.MaxProduceRequestsInflightPerBroker, want: 5},
			{name: "retries", opt: kgo.RecordRetries, want: int64(0)},
		} {
			if got := client.OptValue(tt.opt); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("acks=%s: %s is %v, want %v", arm, tt.name, got, tt.want)
			}
		}
		client.Close()
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	three := []Arm{AcksAll, AcksLeader, AcksNone}
	tests := []struct {
		name   string
		arms   []Arm
		total  time.Duration
		block  time.Duration
		want   plan
		wantOf time.Duration
	}{
		{name: "a minute of three arms", arms: three, total: time.Minute, want: plan{block: 5 * time.Second, blocks: 4}, wantOf: time.Minute},
		{name: "ten seconds still alternate", arms: three, total: 12 * time.Second, want: plan{block: time.Second, blocks: 4}, wantOf: 12 * time.Second},
		{name: "two minutes", arms: three, total: 2 * time.Minute, want: plan{block: 5 * time.Second, blocks: 8}, wantOf: 2 * time.Minute},
		{name: "one arm has no turns", arms: three[:1], total: time.Minute, want: plan{block: time.Minute, blocks: 1}, wantOf: time.Minute},
		{name: "shorter blocks on request", arms: three, total: time.Minute, block: time.Second, want: plan{block: time.Second, blocks: 20}, wantOf: time.Minute},
		{name: "no time", arms: three, total: -1, want: plan{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Config{Arms: tt.arms, Block: tt.block}.withDefaults()
			got := c.turns(tt.total)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if of := got.total(c); of != tt.wantOf {
				t.Errorf("takes %s, want %s", of, tt.wantOf)
			}
		})
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config Config
	}{
		{name: "record without room for the stamp", config: Config{Target: Target{RecordBytes: StampBytes - 1}}},
		{name: "enormous record", config: Config{Target: Target{RecordBytes: maxRecord + 1}}},
		{name: "negative partitions", config: Config{Target: Target{Partitions: -1}}},
		{name: "too many producers", config: Config{Target: Target{Producers: maxProducers + 1}}},
		{name: "negative rate", config: Config{Rate: -1}},
		{name: "negative duration", config: Config{Duration: -time.Second}},
		{name: "more records than a run can track", config: Config{Rate: 1e6, Duration: time.Hour}},
		{name: "unknown arm", config: Config{Arms: []Arm{"2"}}},
		{name: "negative concurrency", config: Config{ClosedLoop: true, Concurrency: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Run(t.Context(), tt.config); !errors.Is(err, ErrConfig) {
				t.Errorf("got %v, want ErrConfig", err)
			}
		})
	}
	if _, err := RunProduce(t.Context(), ProduceConfig{Compression: "brotli"}); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
}

func TestFailuresHaveNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want string
	}{
		{name: "Kafka error", err: fmt.Errorf("partition 3: %w", kerr.NotEnoughReplicas), want: "NOT_ENOUGH_REPLICAS"},
		{name: "no room", err: kgo.ErrMaxBuffered, want: FailureShed},
		{name: "waited too long", err: kgo.ErrRecordTimeout, want: FailureTimeout},
		{name: "no verdict", err: kgo.ErrRecordRetries, want: FailureDisconnected},
		{name: "client closed", err: kgo.ErrClientClosed, want: FailureAbandoned},
		{name: "cancelled", err: context.Canceled, want: FailureAbandoned},
		{name: "anything else", err: errors.New("boom"), want: FailureOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := failureName(tt.err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
