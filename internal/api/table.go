package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// api is one API key: the versions that are handled, and by whom.
type api struct {
	key             int16
	lowest, highest int16
	handle          func(*Table, context.Context, *wire.Request) (wire.Reply, error)
}

// apis lists what is served, by key. Clients use whatever is in this table:
// an API, or a version of one, that is not fully implemented must not be.
//
// Produce is listed from version 0 although only 3 and later are served:
// librdkafka takes the lowest version for a sign of what the broker can do
// and would silently stop compressing (KAFKA-18659).
func apis() []api {
	return []api{
		{0, 0, 12, (*Table).produce},
		{1, 4, 17, (*Table).fetch},
		{2, 1, 10, (*Table).listOffsets},
		{3, 0, 13, (*Table).metadata},
		{18, 0, 4, (*Table).apiVersions},
		{19, 2, 7, (*Table).createTopics},
		{20, 1, 6, (*Table).deleteTopics},
		{22, 0, 5, (*Table).initProducerID},
		{23, 2, 4, (*Table).offsetForLeaderEpoch},
		{32, 1, 4, (*Table).describeConfigs},
		{35, 1, 4, (*Table).describeLogDirs},
		{55, 0, 2, (*Table).describeQuorum},
		{60, 0, 2, (*Table).describeCluster},
		{75, 0, 0, (*Table).describeTopicPartitions},
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

// Handle passes a request to the handler of its key. It waits for nothing but
// room in the write buffer (see [partition.Replica.Append]).
func (t *Table) Handle(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	a, ok := t.find(req.Key)
	if !ok {
		return nil, fmt.Errorf("no handler for api key %d", req.Key) // wire asks Versions first
	}
	return a.handle(t, ctx, req)
}

// respond returns the empty response to a request, in the request's version.
func respond[T kmsg.Response](req *wire.Request) T {
	return req.Body.ResponseKind().(T)
}
