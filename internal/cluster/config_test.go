package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTopicConfigDefaults(t *testing.T) {
	t.Parallel()
	topic := &Topic{Partitions: []*Partition{{Replicas: ids{1, 2, 3}}}}
	want := TopicConfig{
		MinInsyncReplicas:    2,
		Flush:                FlushFsync,
		RetentionTime:        7 * 24 * time.Hour,
		RetentionBytes:       -1,
		SegmentBytes:         128 << 20,
		MaxMessageBytes:      1048588,
		CleanupPolicy:        "delete",
		MessageTimestampType: TimestampCreate,
	}
	if got := topic.Config(); got != want {
		t.Fatalf("defaults %+v, want %+v", got, want)
	}
}

func TestTopicConfigParses(t *testing.T) {
	t.Parallel()
	topic := &Topic{Partitions: []*Partition{{Replicas: ids{1}}}, Configs: map[string]string{
		ConfigMinInsyncReplicas: "3", ConfigFlush: "async", ConfigRetentionMillis: "-1", ConfigRetentionBytes: "5",
		ConfigSegmentBytes: "1048576", ConfigMaxMessageBytes: "100", ConfigMessageTimestampType: "LogAppendTime",
	}}
	if err := ValidateTopicConfig(topic.Configs); err != nil {
		t.Fatal(err)
	}
	want := TopicConfig{
		MinInsyncReplicas: 3, Flush: FlushAsync, RetentionTime: -1, RetentionBytes: 5, SegmentBytes: 1 << 20,
		MaxMessageBytes: 100, CleanupPolicy: "delete", MessageTimestampType: TimestampLogAppend,
	}
	if got := topic.Config(); got != want {
		t.Fatalf("config %+v, want %+v", got, want)
	}
	if v, set := topic.ConfigValue(ConfigFlush); v != "async" || !set {
		t.Errorf("flush %q, set %v, want async, true", v, set)
	}
	if v, set := topic.ConfigValue(ConfigCleanupPolicy); v != "delete" || set {
		t.Errorf("cleanup.policy %q, set %v, want delete, false", v, set)
	}
}

func TestValidateTopicConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, value string
		ok               bool
	}{
		{name: "known", key: ConfigFlush, value: "fsync", ok: true},
		{name: "unknown key", key: "flush.mode", value: "x"},
		{name: "unknown value", key: ConfigFlush, value: "FSYNC"},
		{name: "compaction is not there yet", key: ConfigCleanupPolicy, value: "compact"},
		{name: "unclean elections are not there yet", key: ConfigUncleanLeaderElection, value: "true"},
		{name: "zero minimum", key: ConfigMinInsyncReplicas, value: "0"},
		{name: "no number", key: ConfigRetentionBytes, value: "1GB"},
		{name: "retention below unlimited", key: ConfigRetentionMillis, value: "-2"},
		{name: "retention beyond a duration", key: ConfigRetentionMillis, value: "9223372036854775807", ok: true},
		{name: "segment too small", key: ConfigSegmentBytes, value: "1000"},
		{name: "segment too large", key: ConfigSegmentBytes, value: "2147483648"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := ValidateTopicConfig(map[string]string{tt.key: tt.value})
			if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrInvalidConfig)) {
				t.Fatalf("error %v, want ok %v", err, tt.ok)
			}
			if err != nil && !strings.Contains(err.Error(), tt.key) {
				t.Fatalf("error %q does not name %s", err, tt.key)
			}
		})
	}
}

// TestTopicConfigKeys checks that every default is a value that could be set.
func TestTopicConfigKeys(t *testing.T) {
	t.Parallel()
	keys := TopicConfigKeys()
	if !slices.IsSortedFunc(keys, func(a, b TopicConfigKey) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("keys are not sorted")
	}
	for _, k := range keys {
		if k.Doc == "" || k.Kind == "" {
			t.Errorf("%s lacks a description or a kind", k.Name)
		}
		if k.Default == "" && k.Name != ConfigMinInsyncReplicas {
			t.Errorf("%s lacks a default", k.Name)
		}
		if k.Default != "" && k.validate(k.Default) != nil {
			t.Errorf("%s: the default %q is invalid", k.Name, k.Default)
		}
	}
}

func TestEffectiveMinISR(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		set      string
		replicas ids
		want     int
	}{
		{name: "one replica", replicas: ids{1}, want: 1},
		{name: "two replicas", replicas: ids{1, 2}, want: 1},
		{name: "three replicas", replicas: ids{1, 2, 3}, want: 2},
		{name: "five replicas", replicas: ids{1, 2, 3, 4, 5}, want: 4},
		{name: "as set", set: "1", replicas: ids{1, 2, 3}, want: 1},
		{name: "never more than replicas", set: "3", replicas: ids{1, 2}, want: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Partition{Replicas: tt.replicas}
			topic := &Topic{Partitions: []*Partition{p}}
			if tt.set != "" {
				topic.Configs = map[string]string{ConfigMinInsyncReplicas: tt.set}
			}
			if got := EffectiveMinISR(topic, p); got != tt.want {
				t.Fatalf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestValidateTopicName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"orders": true, "a.b_c-D9": true, "__consumer_offsets": true, strings.Repeat("x", maxTopicName): true,
		"": false, ".": false, "..": false, "a b": false, "ä": false, "a/b": false, "a\x00": false, strings.Repeat("x", maxTopicName+1): false,
	} {
		if err := ValidateTopicName(name); (err == nil) != ok || (err != nil && !errors.Is(err, ErrInvalidTopic)) {
			t.Errorf("%q: error %v, want ok %v", name, err, ok)
		}
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		"localhost:9092": true, "10.0.0.1:1": true, "[::1]:9192": true,
		"": false, "host": false, ":9092": false, "host:0": false, "host:65536": false, "host:http": false, "::1:9092": false,
	} {
		e, err := ParseEndpoint(s)
		if (err == nil) != ok {
			t.Errorf("%q: error %v, want ok %v", s, err, ok)
		}
		if ok && e.String() != s {
			t.Errorf("%q comes back as %q", s, e)
		}
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	// The first draws are refused: zero, and one whose text starts with a dash.
	random := make([]byte, 48)
	random[16], random[32] = 0xf8, 1
	id, err := NewUUID(strings.NewReader(string(random)))
	if err != nil || id != (UUID{0: 1}) {
		t.Fatalf("drew %v, error %v, want the third", id, err)
	}
	if back, err := ParseUUID(id.String()); err != nil || back != id {
		t.Fatalf("%s parses to %v, error %v", id, back, err)
	}
	if _, err := NewUUID(strings.NewReader("short")); err == nil {
		t.Fatal("a short read of random bytes must be an error")
	}
}
