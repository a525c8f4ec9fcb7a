package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// api is one API key: the versions that are handled, and by whom.
type api struct {
	key             int16
	lowest, highest int16
	handle          func(*Table, context.Context, *wire.Request) (wire.Reply, error)
	// blind APIs are served before there is any metadata to answer from.
	blind bool
}

// apis lists what is served, by key. Clients use whatever is in this table:
// an API, or a version of one, that is not fully implemented must not be.
//
// Produce is listed from version 0 although only 3 and later are served:
// librdkafka takes the lowest version for a sign of what the broker can do
// and would silently stop compressing (KAFKA-18659).
//
// Most wait for this broker's first metadata, which it gets when it has joined
// the cluster: until then "unknown topic" would be a lie that clients give up
// on, and an empty list of brokers one that they believe.
func apis() []api {
	return []api{
		{0, 0, 12, (*Table).produce, false},
		{1, 4, 17, (*Table).fetch, false},
		{2, 1, 10, (*Table).listOffsets, false},
		{3, 0, 13, (*Table).metadata, false},
		{18, 0, 4, (*Table).apiVersions, true},
		{19, 2, 7, (*Table).createTopics, false},
		{20, 1, 6, (*Table).deleteTopics, false},
		{22, 0, 5, (*Table).initProducerID, false},
		{23, 2, 4, (*Table).offsetForLeaderEpoch, false},
		{32, 1, 4, (*Table).describeConfigs, false},
		{35, 1, 4, (*Table).describeLogDirs, true},
		{55, 0, 2, (*Table).describeQuorum, true},
		{60, 0, 2, (*Table).describeCluster, true},
		{75, 0, 0, (*Table).describeTopicPartitions, false},
	}
}

// find returns the entry of a key.
func (t *Table) find(key int16) (api, bool) {
	i := slices.IndexFunc(t.apis, func(a api) bool { return a.key == key })
	if i < 0 {
		return api{}, false
	}
	return t.apis[i], true
}

// Versions is the range of versions of an API key that [Table.Handle] takes.
func (t *Table) Versions(key int16) (lowest, highest int16, ok bool) {
	a, ok := t.find(key)
	return a.lowest, a.highest, ok
}

// metadataTimeout is how long after the start requests wait for metadata. It is
// not counted from each request: those of one connection would add up.
const metadataTimeout = 2 * time.Second

// informed reports whether there is metadata to answer from.
func (t *Table) informed() bool { return t.o.Metadata.Image().Index() > 0 }

// Handle passes a request to the handler of its key. It waits for nothing but
// room to append (see [partition.Replica.Append]) and, when the broker
// has only just started, for metadata.
func (t *Table) Handle(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	a, ok := t.find(req.Key)
	if !ok {
		return nil, fmt.Errorf("no handler for api key %d", req.Key) // wire asks Versions first
	}
	if !a.blind && !t.informed() {
		// The connection is not read on meanwhile, as if this broker were not up:
		// its requests keep their order. After that they get retriable errors.
		wait, cancel := context.WithDeadline(ctx, t.born.Add(metadataTimeout))
		defer cancel()
		_ = t.awaitIndex(wait, 1)
	}
	return a.handle(t, ctx, req)
}

// respond returns the empty response to a request, in the request's version.
func respond[T kmsg.Response](req *wire.Request) T {
	return req.Body.ResponseKind().(T)
}
