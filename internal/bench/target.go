package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Causes of errors before any load was offered.
var (
	// ErrUnreachable is a cluster that did not answer.
	ErrUnreachable = errors.New("the cluster does not answer")
	// ErrNotReady is a topic whose partitions got no leader in time.
	ErrNotReady = errors.New("the topic is not ready")
)

const (
	defaultReplicas = 3
	setupLimit      = 30 * time.Second // from the first request to a topic that can be used
	isrLimit        = 5 * time.Second  // of that, what a full in-sync set may take
	cleanLimit      = 15 * time.Second // to delete the topic
	pollInterval    = 50 * time.Millisecond
)

// target is the topic under load and the means to reach it.
type target struct {
	cfg        Target
	client     *kgo.Client
	admin      *kadm.Client
	run        uint64
	topic      string
	partitions int32
	temporary  bool
	starts     map[int32]int64 // where this run's records begin
	ledgers    []*ledger       // of every producer, by its number
	warnings   []string
}

// openTarget connects, and creates the topic unless there is one to use.
func openTarget(ctx context.Context, cfg Target) (*target, error) {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	t := &target{cfg: cfg, run: randomID(), topic: cfg.Topic}
	client, err := t.connect()
	if err != nil {
		return nil, err
	}
	t.client, t.admin = client, kadm.NewClient(client)
	if err := t.prepare(ctx); err != nil {
		return nil, errors.Join(err, t.close(ctx))
	}
	return t, nil
}

// connect opens a client with what all clients of a run have in common.
func (t *target) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{
		kgo.ProduceRequestTimeout(t.cfg.AckTimeout),
		kgo.MetadataMinAge(100 * time.Millisecond), // the default of 5 s would be measured as failover time
		kgo.ConnIdleTimeout(15 * time.Minute),      // an arm that waits for its turn keeps its connections
		kgo.DisableClientMetrics(),
		kgo.ProducerBatchMaxBytes(int32(max(defaultBatchBytes, t.cfg.RecordBytes+recordOverhead))),
	}
	client, err := kgo.NewClient(slices.Concat(t.cfg.Client, common, opts)...)
	if err != nil {
		return nil, fmt.Errorf("%w: client options: %w", ErrConfig, err)
	}
	return client, nil
}

const (
	defaultBatchBytes = 1_000_012 // the client's own default
	recordOverhead    = 512       // batch and record headers of one record, generously
)

func (t *target) prepare(ctx context.Context) error {
	metadata, err := t.admin.BrokerMetadata(ctx)
	if err != nil {
		return wrapSetup("ask for the brokers", err)
	}
	if t.topic == "" {
		if err := t.create(ctx, len(metadata.Brokers)); err != nil {
			return err
		}
	}
	if err := t.await(ctx); err != nil {
		return err
	}
	return t.findStarts(ctx)
}

func (t *target) create(ctx context.Context, brokers int) error {
	replicas := t.cfg.Replicas
	if replicas == 0 {
		replicas = int16(min(defaultReplicas, brokers))
	}
	configs := make(map[string]*string, len(t.cfg.TopicConfigs))
	for name, value := range t.cfg.TopicConfigs {
		configs[name] = &value
	}
	name := fmt.Sprintf("chronik-bench-%08x", uint32(t.run))
	resp, err := t.admin.CreateTopic(ctx, t.cfg.Partitions, replicas, configs, name)
	if err != nil {
		what := fmt.Sprintf("create topic %s with %d partitions and %d replicas on %d brokers", name, t.cfg.Partitions, replicas, brokers)
		if resp.ErrMessage != "" {
			what += " (" + resp.ErrMessage + ")"
		}
		return wrapSetup(what, err)
	}
	t.topic, t.temporary = name, true
	t.cfg.Logger.Info("created topic", slog.String("topic", name), slog.Int("partitions", int(t.cfg.Partitions)), slog.Int("replicas", int(replicas)))
	return nil
}

// await returns once every partition has a leader. It waits a little longer
// for full in-sync sets, and warns when there are none.
func (t *target) await(ctx context.Context) error {
	fullBy := time.Now().Add(isrLimit)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		state, err := t.inSync(ctx)
		switch {
		case err != nil:
			// The broker that is asked may not have heard of a new topic yet.
			if !t.temporary || !kerr.IsRetriable(err) {
				return wrapSetup("describe topic "+t.topic, err)
			}
		case len(state) >= t.expected() && state.led() && (state.full() || !t.temporary || time.Now().After(fullBy)):
			t.partitions = int32(len(state))
			if !state.full() {
				t.warn("the in-sync sets were not full when the run began")
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s: %w: %d partitions reported, not all with a leader", t.topic, ErrNotReady, len(state))
		case <-tick.C:
		}
	}
}

// expected returns how many partitions the topic has at least.
func (t *target) expected() int {
	if t.temporary {
		return int(t.cfg.Partitions)
	}
	return 1
}

// findStarts notes where this run's records will begin.
func (t *target) findStarts(ctx context.Context) error {
	if t.temporary {
		t.starts = map[int32]int64{}
		for partition := range t.partitions {
			t.starts[partition] = 0
		}
		return nil
	}
	ends, err := t.ends(ctx)
	if err != nil {
		return wrapSetup("find the end of topic "+t.topic, err)
	}
	t.starts = ends
	return nil
}

// leaveTo has this run read only what is one worker's of several.
func (t *target) leaveTo(index, workers int) {
	if workers < 2 {
		return
	}
	own := map[int32]int64{}
	for _, partition := range ownPartitions(t.partitions, index, workers) {
		own[partition] = t.starts[partition]
	}
	t.starts = own
}

// ends returns the high watermark of every partition.
func (t *target) ends(ctx context.Context) (map[int32]int64, error) {
	listed, err := t.admin.ListEndOffsets(ctx, t.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64, len(listed[t.topic]))
	for partition, offset := range listed[t.topic] {
		ends[partition] = offset.Offset
	}
	return ends, nil
}

func (t *target) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// close deletes a temporary topic, unless it is to be kept, and disconnects.
func (t *target) close(ctx context.Context) error {
	defer t.client.Close()
	if !t.temporary || t.cfg.KeepTopic {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	if _, err := t.admin.DeleteTopic(ctx, t.topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", t.topic, err)
	}
	t.cfg.Logger.Info("deleted topic", slog.String("topic", t.topic))
	return nil
}

// wrapSetup tells a cluster that refused from one that did not answer.
func wrapSetup(what string, err error) error {
	if _, answered := errors.AsType[*kerr.Error](err); answered {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, ErrUnreachable, err)
}

// randomID returns a number that no other run has. It is never zero.
func randomID() uint64 {
	var p [8]byte
	_, _ = rand.Read(p[:]) // never fails, as documented
	return binary.BigEndian.Uint64(p[:]) | 1
}
