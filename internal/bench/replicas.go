package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/pause"
)

// ReplicaCheck compares every replica with its leader, read from the brokers
// themselves (KIP-392), record by record.
type ReplicaCheck struct {
	// OK is that every replica could be read, and none differs.
	OK bool `json:"ok"`
	// Replicas were read to the leader's high watermark.
	Replicas int `json:"replicas"`
	// Diverged do not have the leader's records.
	Diverged []ReplicaProblem `json:"diverged"`
	// Unread could not be read; that is no proof of anything.
	Unread []ReplicaProblem `json:"unread"`
}

// ReplicaProblem is one replica.
type ReplicaProblem struct {
	Broker    int32  `json:"broker"`
	Partition int32  `json:"partition"`
	Detail    string `json:"detail"`
}

const (
	replicaLimit   = 5 * time.Minute // to read all of them
	replicaIdle    = 10 * time.Second
	replicaAgain   = 200 * time.Millisecond // of a broker that gave nothing for that long before
	replicaRequest = 5 * time.Second
)

// compareReplicas reads every replica of every partition.
func (t *target) compareReplicas(ctx context.Context) *ReplicaCheck {
	ctx, cancel := grace(ctx, replicaLimit, readGrace)
	defer cancel()
	check := &ReplicaCheck{Diverged: []ReplicaProblem{}, Unread: []ReplicaProblem{}}
	state, err := t.inSync(ctx)
	ends, endsErr := t.ends(ctx)
	metadata, metaErr := askMetadata(ctx, t.client.Broker(int(t.anyBroker(ctx))), t.topic)
	if err := errors.Join(err, endsErr, metaErr); err != nil || len(metadata.Topics) != 1 {
		check.Unread = append(check.Unread, ReplicaProblem{Broker: -1, Partition: -1, Detail: fmt.Sprint("find the replicas: ", err)})
		return check
	}
	silent := map[int32]bool{} // brokers
	for _, p := range state {
		r := replicaReader{target: t, id: metadata.Topics[0].TopicID, partition: p.Partition, from: t.starts[p.Partition], end: ends[p.Partition], silent: silent}
		want, err := r.digest(ctx, p.Leader)
		if err != nil {
			check.Unread = append(check.Unread, ReplicaProblem{Broker: p.Leader, Partition: p.Partition, Detail: err.Error()})
			continue
		}
		check.Replicas++
		for _, broker := range p.Replicas {
			if broker == p.Leader {
				continue
			}
			got, err := r.digest(ctx, broker)
			switch {
			case err != nil:
				check.Unread = append(check.Unread, ReplicaProblem{Broker: broker, Partition: p.Partition, Detail: err.Error()})
			case got != want:
				check.Diverged = append(check.Diverged, ReplicaProblem{
					Broker: broker, Partition: p.Partition,
					Detail: fmt.Sprintf("%d records with digest %016x; the leader, broker %d, has %d with %016x", got.records, got.sum, p.Leader, want.records, want.sum),
				})
				check.Replicas++
			default:
				check.Replicas++
			}
		}
	}
	check.OK = len(check.Diverged)+len(check.Unread) == 0
	return check
}

func (t *target) anyBroker(ctx context.Context) int32 {
	metadata, err := t.admin.BrokerMetadata(ctx)
	if err != nil || len(metadata.Brokers) == 0 {
		return -1
	}
	return metadata.Brokers[0].NodeID
}

// digest is what a replica holds.
type digest struct {
	sum     uint64
	records int64
}

// replicaReader reads one partition from one broker after the other.
type replicaReader struct {
	target    *target
	id        [16]byte // of the topic
	partition int32
	from, end int64
	silent    map[int32]bool // brokers that are not worth a long wait any more
}

// digest reads a replica up to the end. A follower may be behind for a while.
func (r replicaReader) digest(ctx context.Context, broker int32) (digest, error) {
	var d digest
	hash := fnv.New64a()
	idle := replicaIdle
	if r.silent[broker] {
		idle = replicaAgain
	}
	next, last := r.from, time.Now()
	for next < r.end {
		got, err := r.fetch(ctx, broker, next)
		if err == nil && len(got.Records) > 0 {
			last = time.Now()
			for _, rec := range got.Records {
				if rec.Offset < next || rec.Offset >= r.end {
					continue
				}
				_, _ = hash.Write(binary.BigEndian.AppendUint64(nil, uint64(rec.Offset))) // never fails, as documented
				_, _ = hash.Write(rec.Value)
				d.records++
			}
			next = got.Records[len(got.Records)-1].Offset + 1
			continue
		}
		switch {
		case ctx.Err() != nil:
			return d, context.Cause(ctx)
		case time.Since(last) > idle && err != nil:
			r.silent[broker] = true
			return d, fmt.Errorf("at offset %d of %d: %w", next, r.end, err)
		case time.Since(last) > idle:
			r.silent[broker] = true
			return d, fmt.Errorf("at offset %d of %d: the broker returns nothing more", next, r.end)
		}
		pause.For(ctx, pollInterval) // the next round sees the end of ctx
	}
	d.sum = hash.Sum64()
	return d, nil
}

func (r replicaReader) fetch(ctx context.Context, broker int32, offset int64) (kgo.FetchPartition, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaRequest)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MaxBytes, req.SessionEpoch = -1, int32(readPoll.Milliseconds()), 8<<20, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.target.topic, r.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = r.partition, offset, 8<<20, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, r.target.client.Broker(int(broker)))
	if err != nil {
		return kgo.FetchPartition{}, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return kgo.FetchPartition{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, errors.New("an answer without the partition")
	}
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: offset, IsolationLevel: kgo.ReadUncommitted(), Topic: r.target.topic, Partition: r.partition,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return got, got.Err
}
