package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/wire"
)

// Fetch: v4-17
//
// Behavior:
//   - Consumers only: replication between brokers is pushed. Records above the
//     high watermark, which is the last stable offset too, are never returned.
//   - From v11 on a follower serves up to the high watermark that it knows
//     (KIP-392). It never sends a client elsewhere: there is no replica selector.
//   - A long poll is woken by moves of the high watermark and of leaderships. It
//     ends early when something failed, as in Kafka.
//   - The first batch is returned even when it is larger than the client's limits.
//   - The records of all responses share a budget until they are sent: see
//     fetch_room.go.
//   - Fetch sessions (KIP-227) are bounded; a consumer without one works as well.
//   - zstd batches are refused to clients before v10, which cannot read them.
//
// Version notes:
//   - v5: log start offset
//   - v7: sessions
//   - v9: current leader epoch
//   - v11: rack, unused
//   - v12: flexible; divergence (KIP-595) and current leader (KIP-951)
//   - v13: topic ids
//   - v16: node endpoints (KIP-951)
//   - v15, v17: for replicas only

const (
	firstFollowerFetch   = 11
	firstZstdFetch       = 10
	firstTopicIDFetch    = 13
	firstLeaderHintFetch = 12
	firstEndpointsFetch  = 16
	readCommitted        = 1
	noPreferredReplica   = -1
)

func (t *Table) fetch(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.FetchRequest)
	call := &fetched{
		table: t, version: req.Version, minBytes: int(body.MinBytes),
		maxBytes:  max(0, min(int(body.MaxBytes), t.o.MaxFetchBytes)),
		deadline:  req.Received.Add(min(time.Duration(body.MaxWaitMillis)*time.Millisecond, t.o.MaxTimeout)),
		committed: body.IsolationLevel == readCommitted,
	}
	if body.ReplicaID >= 0 || body.ReplicaState.ID >= 0 {
		call.refused = codeOf(errReplicaFetch)
		return call, nil
	}
	parts, session, full, err := t.sessions.begin(body, req.Received)
	call.session, call.full, call.refused = session, full, codeOf(err)
	call.parts = make([]fetching, len(parts))
	for i, part := range parts {
		call.parts[i].fetchPart = part
	}
	return call, nil
}

// fetched is a fetch request on its way to a response. It is the reply that
// reads, and waits for more to read.
type fetched struct {
	table     *Table
	version   int16
	minBytes  int
	maxBytes  int
	deadline  time.Time
	committed bool
	session   *fetchSession // nil: none
	full      bool          // every partition is in the response
	refused   code          // of the request as a whole
	held      int           // bytes of room that the records take

	parts []fetching
}

// fetching is one partition of a fetch and the last attempt to read it.
type fetching struct {
	fetchPart
	topic   *cluster.Topic     // nil: unknown
	replica *partition.Replica // nil: err says why
	result  partition.ReadResult
	err     error
}

// hasRecords reports whether the last read returned any.
func (p *fetching) hasRecords() bool { return p.err == nil && len(p.result.Batches) > 0 }

// Wait reads until there is enough, something failed, or time is up.
func (f *fetched) Wait(ctx context.Context) (kmsg.Response, error) {
	if f.refused != codeNone {
		return f.response(), nil
	}
	f.locate()
	if enough := f.read(ctx); enough || len(f.parts) == 0 || !time.Now().Before(f.deadline) {
		return f.response(), nil
	}
	if err := f.poll(ctx); err != nil {
		return nil, err
	}
	return f.response(), nil
}

// poll reads whenever something moved, until there is enough or time is up.
func (f *fetched) poll(ctx context.Context) error {
	watcher := partition.NewWatcher()
	for i := range f.parts {
		f.parts[i].replica.Watch(watcher)
	}
	defer func() {
		for i := range f.parts {
			f.parts[i].replica.Unwatch(watcher)
		}
	}()
	timer := time.NewTimer(time.Until(f.deadline))
	defer timer.Stop()
	// The first read comes after the watch, or a move in between would be lost.
	for !f.read(ctx) {
		f.drop() // others may have the room meanwhile
		select {
		case <-watcher.C:
		case <-timer.C:
			f.read(ctx)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// locate looks up the replicas.
func (f *fetched) locate() {
	img := f.table.o.Metadata.Image()
	for i := range f.parts {
		p := &f.parts[i]
		name := p.name
		if f.version < firstTopicIDFetch {
			p.topic = topicByName(img, name)
		} else if p.topic, _ = img.TopicByID(p.id); p.topic != nil {
			name = p.topic.Name
		} else if f.table.informed() {
			p.err = topicError(p.id.String(), p.index, errUnknownTopicID)
			continue
		}
		p.replica, p.err = f.table.locate(p.topic, name, p.index)
	}
}

// pass reads every partition once, so many bytes in all; with minOne the first
// batch may be larger. It returns what it got, and whether the response is due
// whatever that is.
func (f *fetched) pass(maxBytes int, minOne bool) (total int, due bool) {
	for i := range f.parts {
		p := &f.parts[i]
		if p.replica == nil {
			due = true
			continue
		}
		p.result, p.err = p.replica.Read(partition.ReadRequest{
			Offset: p.offset, MaxBytes: max(0, min(maxBytes-total, int(p.maxBytes))), MinOne: minOne && total == 0,
			CurrentEpoch: epochOf(p.currentEpoch), LastFetchedEpoch: epochOf(p.lastEpoch),
			AllowFollower: f.version >= firstFollowerFetch,
		})
		if p.err == nil && f.version < firstZstdFetch && holdsZstd(p.result.Batches) {
			p.result.Batches, p.err = nil, topicError(p.name, p.index, errCompressionType)
		}
		due = due || p.err != nil || p.result.Diverging != nil
		for _, b := range p.result.Batches {
			total += len(b)
		}
	}
	return total, due
}

func (f *fetched) response() kmsg.Response {
	resp := &fetchResponse{}
	resp.Version = f.version
	if f.refused != codeNone {
		resp.ErrorCode = int16(f.refused)
		return resp
	}
	if f.session != nil {
		resp.SessionID = f.session.id
	}
	leaders := hints{self: f.table.o.Self, img: f.table.o.Metadata.Image()}
	var last *fetching // that got records
	for i := range f.parts {
		p := &f.parts[i]
		part := f.partResponse(p, &leaders)
		if p.hasRecords() {
			last = p
		}
		if f.isNews(p, &part) {
			resp.add(p, part)
		}
	}
	if f.session != nil && last != nil {
		f.session.rotate(last.fetchKey)
	}
	if f.version >= firstEndpointsFetch {
		for _, b := range leaders.nodes {
			resp.Brokers = append(resp.Brokers, kmsg.FetchResponseBroker{
				NodeID: int32(b.ID), Host: b.Client.Host, Port: b.Client.Port, Rack: rack(b),
			})
		}
	}
	return resp
}

// isNews reports whether a partition has to be in the response: in a session
// only if there is something to tell.
func (f *fetched) isNews(p *fetching, part *kmsg.FetchResponseTopicPartition) bool {
	if f.session == nil {
		return true
	}
	// What failed is told with unknown offsets, and so is news once it works.
	news := f.session.told(p.fetchKey, part.HighWatermark, part.LogStartOffset)
	return f.full || news || p.err != nil || p.result.Diverging != nil || p.hasRecords()
}

// add adds a partition to its topic's entry: the last one, or a new one.
func (r *fetchResponse) add(p *fetching, part kmsg.FetchResponseTopicPartition) {
	n := len(r.Topics)
	if n == 0 || r.Topics[n-1].Topic != p.name || r.Topics[n-1].TopicID != p.id {
		r.Topics = append(r.Topics, kmsg.FetchResponseTopic{Topic: p.name, TopicID: p.id})
		n++
	}
	topic := &r.Topics[n-1]
	topic.Partitions = append(topic.Partitions, part)
	r.batches = append(r.batches, p.result.Batches)
}

func (f *fetched) partResponse(p *fetching, leaders *hints) kmsg.FetchResponseTopicPartition {
	part := kmsg.NewFetchResponseTopicPartition()
	part.Partition, part.PreferredReadReplica = p.index, noPreferredReplica
	part.HighWatermark, part.LastStableOffset, part.LogStartOffset = -1, -1, -1
	if f.committed {
		part.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	if p.err != nil {
		part.ErrorCode = int16(codeOf(p.err))
		if f.version >= firstLeaderHintFetch {
			h := leaders.add(p.topic, p.index, p.err)
			part.CurrentLeader.LeaderID, part.CurrentLeader.LeaderEpoch = int32(h.leader), int32(h.epoch)
		}
		return part
	}
	part.HighWatermark, part.LastStableOffset = p.result.HighWatermark, p.result.LastStableOffset
	part.LogStartOffset = p.result.LogStartOffset
	if d := p.result.Diverging; d != nil {
		part.DivergingEpoch.Epoch, part.DivergingEpoch.EndOffset = int32(d.Epoch), d.End
		return part
	}
	return part
}

// holdsZstd reports whether any of the chunks of whole batches is compressed
// with zstd.
func holdsZstd(chunks [][]byte) bool {
	for _, rest := range chunks {
		for len(rest) > 0 {
			batch, tail, err := record.Next(rest)
			if err != nil {
				return false // the log's own bytes; the client will complain
			}
			if batch.Compression() == codecZstd {
				return true
			}
			rest = tail
		}
	}
	return false
}
