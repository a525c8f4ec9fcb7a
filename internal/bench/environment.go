package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Environment is what was measured, and on what: without it a number cannot be
// compared with another. What nobody could tell is nil.
type Environment struct {
	Client  ClientEnvironment  `json:"client"`
	Cluster ClusterEnvironment `json:"cluster"`
	Topic   TopicEnvironment   `json:"topic"`
	ISR     ISREnvironment     `json:"isr"`
}

// ClientEnvironment is the machine and the program that made the load.
type ClientEnvironment struct {
	Chronik     *string  `json:"chronik"`
	FranzGo     *string  `json:"franz_go"`
	Go          string   `json:"go"`
	OS          string   `json:"os"`
	Arch        string   `json:"arch"`
	Kernel      *string  `json:"kernel"`
	CPUModel    *string  `json:"cpu_model"`
	CPUs        int      `json:"cpus"`
	GOMAXPROCS  int      `json:"gomaxprocs"`
	CPUQuota    *float64 `json:"cpu_quota"` // cores that the cgroup allows; nil: no limit known
	Governor    *string  `json:"cpu_governor"`
	ClockSource *string  `json:"clock_source"`
	MemoryBytes *int64   `json:"memory_bytes"`
	// LoadStart and LoadEnd are how many processes wanted a core in the minute
	// before: a machine busy with something else measures that too.
	LoadStart *float64 `json:"load_start"`
	LoadEnd   *float64 `json:"load_end"`
	// GCCount and GCPause are of the client while load ran.
	GCCount int64 `json:"gc_count"`
	GCPause int64 `json:"gc_pause_us"`
}

// ClusterEnvironment is the cluster under load.
type ClusterEnvironment struct {
	ID         *string             `json:"id"`
	Controller *int32              `json:"controller"`
	Brokers    []BrokerEnvironment `json:"brokers"`
}

// BrokerEnvironment is one broker under load.
type BrokerEnvironment struct {
	ID   int32   `json:"id"`
	Host string  `json:"host"`
	Port int32   `json:"port"`
	Rack *string `json:"rack"`
	// APIs is the Kafka release whose requests the broker speaks. The protocol
	// does not tell the version of the broker itself.
	APIs *string `json:"apis"`
	// DataDir and Filesystem are nil for brokers on other machines.
	DataDir    *string `json:"data_dir"`
	Filesystem *string `json:"filesystem"`
}

// TopicEnvironment is the topic under load.
type TopicEnvironment struct {
	Name              string             `json:"name"`
	ID                *string            `json:"id"`
	Temporary         bool               `json:"temporary"`
	Kept              bool               `json:"kept"`
	Partitions        int32              `json:"partitions"`
	ReplicationFactor *int               `json:"replication_factor"`
	MinInsync         *string            `json:"min_insync_replicas"`
	Flush             *string            `json:"flush"`   // chronik.flush: fsync or async
	Configs           map[string]*string `json:"configs"` // those that differ from the defaults; nil: not told
}

// ISREnvironment is who was in sync.
type ISREnvironment struct {
	Start []PartitionState `json:"start"` // nil: not told
	End   []PartitionState `json:"end"`
	// FullShare is the share of looks, one a second under load, in which every
	// replica was in sync.
	FullShare *float64 `json:"full_share"`
	// Smallest is the smallest in-sync set in any of those looks.
	Smallest *int `json:"smallest"`
}

// Settings of a topic that decide what an ack is worth.
const (
	minInsyncKey = "min.insync.replicas"
	flushKey     = "chronik.flush"
)

// describe asks the cluster and this machine. What fails stays nil: a broker
// that does not answer DescribeConfigs can still be measured.
func (t *target) describe(ctx context.Context) Environment {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	env := Environment{Client: clientEnvironment(t.cfg.Version, hostFiles())}
	metadata, err := t.admin.Metadata(ctx, t.topic)
	if err == nil {
		env.Cluster = t.clusterEnvironment(ctx, metadata)
	}
	env.Topic = t.topicEnvironment(ctx, metadata.Topics[t.topic])
	if state, err := t.inSync(ctx); err == nil {
		env.ISR.Start = state
	}
	return env
}

func clientEnvironment(version string, host host) ClientEnvironment {
	env := ClientEnvironment{
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		Kernel: host.kernel(), CPUModel: host.cpuModel(), CPUQuota: host.cpuQuota(),
		Governor: host.governor(), ClockSource: host.clockSource(), MemoryBytes: host.memoryBytes(), LoadStart: host.load(),
		FranzGo: moduleVersion("github.com/twmb/franz-go"),
	}
	if version != "" {
		env.Chronik = &version
	}
	return env
}

// gcClock is the collector's count and total pause so far.
func gcClock() (count int64, pause time.Duration) {
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	return stats.NumGC, stats.PauseTotal
}

func moduleVersion(path string) *string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			return &dep.Version
		}
	}
	return nil
}

func (t *target) clusterEnvironment(ctx context.Context, metadata kadm.Metadata) ClusterEnvironment {
	env := ClusterEnvironment{}
	if metadata.Cluster != "" {
		env.ID = &metadata.Cluster
	}
	if metadata.Controller >= 0 {
		env.Controller = &metadata.Controller
	}
	versions, err := t.admin.ApiVersions(ctx)
	if err != nil {
		versions = nil
	}
	topics := kadm.TopicsSet{}
	topics.Add(t.topic)
	dirs, err := t.admin.DescribeAllLogDirs(ctx, topics)
	if err != nil && dirs == nil {
		dirs = kadm.DescribedAllLogDirs{}
	}
	for _, b := range metadata.Brokers {
		broker := BrokerEnvironment{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack}
		if v, ok := versions[b.NodeID]; ok && v.Err == nil {
			guess := v.VersionGuess()
			broker.APIs = &guess
		}
		if onThisMachine(b.Host) {
			broker.DataDir, broker.Filesystem = dataDir(dirs[b.NodeID])
		}
		env.Brokers = append(env.Brokers, broker)
	}
	slices.SortFunc(env.Brokers, func(a, b BrokerEnvironment) int { return int(a.ID) - int(b.ID) })
	return env
}

// onThisMachine reports whether a broker's host is a loopback address, so that
// its paths mean something here.
func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func dataDir(dirs kadm.DescribedLogDirs) (dir, filesystem *string) {
	for _, d := range dirs.Sorted() {
		if d.Err == nil {
			return &d.Dir, hostFiles().filesystem(d.Dir)
		}
	}
	return nil, nil
}

func (t *target) topicEnvironment(ctx context.Context, detail kadm.TopicDetail) TopicEnvironment {
	env := TopicEnvironment{
		Name: t.topic, Temporary: t.temporary, Kept: !t.temporary || t.cfg.KeepTopic, Partitions: t.partitions,
	}
	if detail.ID != (kadm.TopicID{}) {
		id := base64.RawURLEncoding.EncodeToString(detail.ID[:])
		env.ID = &id
	}
	if n := detail.Partitions.NumReplicas(); n > 0 {
		env.ReplicationFactor = &n
	}
	t.describeConfigs(ctx, &env)
	return env
}

// describeConfigs fills in the topic's settings, if the broker that is asked
// tells them: it may not have heard of a new topic yet.
func (t *target) describeConfigs(ctx context.Context, env *TopicEnvironment) {
	described, err := t.admin.DescribeTopicConfigs(ctx, t.topic)
	if err != nil || len(described) != 1 || described[0].Err != nil {
		return
	}
	env.Configs = map[string]*string{}
	for _, c := range described[0].Configs {
		switch c.Key {
		case minInsyncKey:
			env.MinInsync = c.Value
		case flushKey:
			env.Flush = c.Value
		}
		if c.Source != kmsg.ConfigSourceDefaultConfig {
			env.Configs[c.Key] = c.Value
		}
	}
}

// describeEnd adds what can only be told after the load.
func (t *target) describeEnd(ctx context.Context, env *Environment, beside *observer) {
	ctx, cancel := grace(ctx, setupLimit, drainGrace)
	defer cancel()
	if state, err := t.inSync(ctx); err == nil {
		env.ISR.End = state
	}
	if env.Topic.Configs == nil {
		t.describeConfigs(ctx, &env.Topic)
	}
	env.Client.LoadEnd = hostFiles().load()
	env.Client.GCCount, env.Client.GCPause = beside.gcCount, beside.gcPause.Microseconds()
	env.ISR.FullShare, env.ISR.Smallest = beside.isr.result()
	if env.ISR.Smallest != nil && *env.ISR.Smallest == 1 && env.Topic.ReplicationFactor != nil {
		t.warn("an in-sync set was down to its leader: with min.insync.replicas=%s, acks=all then waits for no other broker",
			orUnknown(env.Topic.MinInsync))
	}
	if share := env.ISR.FullShare; share != nil && *share < 1 {
		t.warn("the in-sync sets were full in only %.0f%% of the looks during the run", *share*100)
	}
}

func orUnknown(s *string) string {
	if s == nil {
		return "unknown"
	}
	return fmt.Sprint(*s)
}
