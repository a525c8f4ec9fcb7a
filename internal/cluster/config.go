package cluster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the topic configurations, as Kafka spells them.
const (
	ConfigMinInsyncReplicas     = "min.insync.replicas"
	ConfigFlush                 = "chronik.flush"
	ConfigRetentionMillis       = "retention.ms"
	ConfigRetentionBytes        = "retention.bytes"
	ConfigSegmentBytes          = "segment.bytes"
	ConfigMaxMessageBytes       = "max.message.bytes"
	ConfigCleanupPolicy         = "cleanup.policy"
	ConfigCompressionType       = "compression.type"
	ConfigMessageTimestampType  = "message.timestamp.type"
	ConfigUncleanLeaderElection = "unclean.leader.election.enable"
)

// FlushMode says when a replica's position counts towards the high watermark.
type FlushMode string

const (
	// FlushFsync counts what an fdatasync has covered: the default.
	FlushFsync FlushMode = "fsync"
	// FlushAsync counts what is written; the fsync follows in the background.
	FlushAsync FlushMode = "async"
)

// TimestampType says whose clock a record's timestamp is.
type TimestampType string

const (
	// TimestampCreate keeps the producer's timestamps: the default.
	TimestampCreate TimestampType = "CreateTime"
	// TimestampLogAppend stamps the leader's wall clock.
	TimestampLogAppend TimestampType = "LogAppendTime"
)

// TopicConfig is a topic's configuration, parsed and with defaults applied.
type TopicConfig struct {
	// MinInsyncReplicas is what was set, or replication factor - 1 but at
	// least 1. Use [EffectiveMinISR] to decide anything.
	MinInsyncReplicas int
	Flush             FlushMode
	// RetentionTime is negative when records are kept for ever.
	RetentionTime time.Duration
	// RetentionBytes is -1 when the size is unlimited.
	RetentionBytes        int64
	SegmentBytes          int64
	MaxMessageBytes       int32
	CleanupPolicy         string
	MessageTimestampType  TimestampType
	UncleanLeaderElection bool
}

// ConfigKind is the type of a configuration's value, as DescribeConfigs tells it.
type ConfigKind string

// Kinds of configuration values.
const (
	KindBoolean ConfigKind = "boolean"
	KindString  ConfigKind = "string"
	KindInt     ConfigKind = "int"
	KindLong    ConfigKind = "long"
	KindList    ConfigKind = "list"
)

// TopicConfigKey describes one topic configuration.
type TopicConfigKey struct {
	Name string
	Kind ConfigKind
	// Default is the value when none is set. It is empty for
	// min.insync.replicas, whose default follows the replication factor.
	Default string
	Doc     string
	// validate refuses a value, saying what would be accepted.
	validate func(value string) error
}

// TopicConfigKeys lists what topics can be configured with, sorted by name.
func TopicConfigKeys() []TopicConfigKey {
	return []TopicConfigKey{
		{ConfigFlush, KindString, string(FlushFsync), "When a replica's position counts: fsync = after its fdatasync, async = once written, synced within 100 ms.", oneOf(string(FlushFsync), string(FlushAsync))},
		{ConfigCleanupPolicy, KindList, "delete", "What happens to old segments; only delete is supported.", oneOf("delete")},
		{ConfigCompressionType, KindString, "producer", "Batches keep the producer's compression; only producer is supported.", oneOf("producer")},
		{ConfigMaxMessageBytes, KindInt, "1048588", "Largest record batch that is accepted, in bytes.", intBetween(61, math.MaxInt32)},
		{ConfigMessageTimestampType, KindString, string(TimestampCreate), "CreateTime keeps the producer's timestamps, LogAppendTime stamps the leader's clock.", oneOf(string(TimestampCreate), string(TimestampLogAppend))},
		{ConfigMinInsyncReplicas, KindInt, "", "In-sync replicas that acks=all needs; default: replication factor - 1, at least 1.", intBetween(1, math.MaxInt16)},
		{ConfigRetentionBytes, KindLong, "-1", "Size of a partition above which old segments are deleted; -1 = unlimited.", intBetween(-1, math.MaxInt64)},
		{ConfigRetentionMillis, KindLong, "604800000", "Age in milliseconds after which segments are deleted; -1 = never.", intBetween(-1, math.MaxInt64)},
		{ConfigSegmentBytes, KindInt, "134217728", "Size in bytes at which a segment file is sealed.", intBetween(1<<20, math.MaxInt32)},
		{ConfigUncleanLeaderElection, KindBoolean, "false", "Whether a replica that may lack committed records is ever elected; only false is supported.", oneOf("false")},
	}
}

// ValidateTopicConfig refuses, with [ErrInvalidConfig], unknown keys and values
// out of range. The error names the first offending key in sorted order.
func ValidateTopicConfig(configs map[string]string) error {
	names := make([]string, 0, len(configs))
	for name := range configs {
		names = append(names, name)
	}
	slices.Sort(names)
	keys := TopicConfigKeys()
	for _, name := range names {
		i := slices.IndexFunc(keys, func(k TopicConfigKey) bool { return k.Name == name })
		if i < 0 {
			return fmt.Errorf("%q: unknown topic configuration: %w", name, ErrInvalidConfig)
		}
		if err := keys[i].validate(configs[name]); err != nil {
			return fmt.Errorf("%s=%q: %w: %w", name, configs[name], err, ErrInvalidConfig)
		}
	}
	return nil
}

// Config parses the topic's configuration and applies the defaults. Keep the
// result where it is used often.
func (t *Topic) Config() TopicConfig {
	str := func(name string) string { v, _ := t.ConfigValue(name); return v }
	long := func(name string) int64 {
		n, err := strconv.ParseInt(str(name), 10, 64)
		if err != nil {
			return 0 // impossible: only validated values are stored
		}
		return n
	}
	return TopicConfig{
		MinInsyncReplicas:     int(long(ConfigMinInsyncReplicas)),
		Flush:                 FlushMode(str(ConfigFlush)),
		RetentionTime:         retention(long(ConfigRetentionMillis)),
		RetentionBytes:        long(ConfigRetentionBytes),
		SegmentBytes:          long(ConfigSegmentBytes),
		MaxMessageBytes:       int32(long(ConfigMaxMessageBytes)),
		CleanupPolicy:         str(ConfigCleanupPolicy),
		MessageTimestampType:  TimestampType(str(ConfigMessageTimestampType)),
		UncleanLeaderElection: str(ConfigUncleanLeaderElection) == "true",
	}
}

// ConfigValue is the value in force of one configuration, and whether it was
// set on the topic. An unknown name has no value.
func (t *Topic) ConfigValue(name string) (value string, set bool) {
	if v, ok := t.Configs[name]; ok {
		return v, true
	}
	if name == ConfigMinInsyncReplicas {
		return strconv.Itoa(defaultMinISR(t.ReplicationFactor())), false
	}
	for _, k := range TopicConfigKeys() {
		if k.Name == name {
			return k.Default, false
		}
	}
	return "", false
}

// EffectiveMinISR is the number of in-sync replicas that p needs before its
// high watermark moves: what is configured, but never more than it has
// replicas (K27).
func EffectiveMinISR(t *Topic, p *Partition) int {
	want := defaultMinISR(len(p.Replicas))
	if v, set := t.Configs[ConfigMinInsyncReplicas]; set {
		if n, err := strconv.Atoi(v); err == nil {
			want = n
		}
	}
	return min(want, len(p.Replicas))
}

func defaultMinISR(replicationFactor int) int { return max(1, replicationFactor-1) }

// retention converts milliseconds without overflow: what does not fit a
// Duration, some 292 years, is for ever.
func retention(millis int64) time.Duration {
	if millis < 0 || millis > int64(math.MaxInt64/time.Millisecond) {
		return -1
	}
	return time.Duration(millis) * time.Millisecond
}

func oneOf(allowed ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("want %s", strings.Join(allowed, " or "))
	}
}

func intBetween(low, high int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("want a number from %d to %d", low, high)
		}
		return nil
	}
}
