package admin

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/status"
)

// quorum answers DescribeQuorum as a chronik leader does, for the partitions
// that it is asked for, with the links that leave the broker.
func quorum(broker int32, req kmsg.Request) *kmsg.DescribeQuorumResponse {
	resp := kmsg.NewPtrDescribeQuorumResponse()
	for _, t := range req.(*kmsg.DescribeQuorumRequest).Topics {
		topic := kmsg.NewDescribeQuorumResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewDescribeQuorumResponseTopicPartition()
			partition.Partition, partition.LeaderID, partition.LeaderEpoch, partition.HighWatermark = p.Partition, broker, 7, 50
			partition.UnknownTags = tag(status.TagPartition, status.Partition{MinInsyncReplicas: 2})
			partition.CurrentVoters = append(partition.CurrentVoters, replicaState(broker, 50, 0))
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	resp.UnknownTags = tag(status.TagLinks, []status.Link{
		{From: broker, To: broker%3 + 1, State: "ok", Partitions: 1, InSync: 1, LagRecords: ptr(int64(0)), Reconnects: 2},
	})
	return resp
}

func (s *scripted) quorums() {
	s.on(kmsg.DescribeQuorum, func(broker int32, req kmsg.Request) kmsg.Response { return quorum(broker, req) })
}

func subjects(problems []Problem) []string {
	var names []string
	for _, p := range problems {
		names = append(names, p.Subject)
	}
	return names
}

func TestISRAsksEachLeader(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.quorums()
	report, err := s.client().ISR(t.Context(), ISRQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if report.ClusterID != "scripted" || len(report.Problems)+len(report.Notes) > 0 || len(report.Partitions) != 3 {
		t.Fatalf("report %s", show(report))
	}
	for i, p := range report.Partitions {
		if p.Leader != int32(i+1) || p.Source != SourceLeader || p.State != PartitionOK || *p.MinInsyncReplicas != 2 || *p.HighWatermark != 50 {
			t.Errorf("partition %d: %s", i, show(p))
		}
		if p.ELR != nil {
			t.Errorf("partition %d: ELR %v, want unknown", i, p.ELR)
		}
	}
}

func TestISRNamesALeaderThatIsGone(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.quorums()
	s.stop(2)
	report, err := s.client().ISR(t.Context(), ISRQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if got := subjects(report.Problems); !slices.Equal(got, []string{"broker 2"}) || !errors.Is(report.Problems[0].Err, ErrUnreachable) {
		t.Errorf("problems %v", report.Problems)
	}
	p := report.Partitions[1]
	if p.State != PartitionUnknown || p.Source != SourceMetadata || p.HighWatermark != nil || p.Followers[0].LagRecords != nil || p.Followers[0].State != StateUnknown {
		t.Errorf("what nobody said is not unknown: %s", show(p))
	}
	if report.Partitions[0].Source != SourceLeader {
		t.Errorf("the other leaders were not asked: %s", show(report.Partitions[0]))
	}
}

func TestISRFollowsALeaderThatMoved(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.on(kmsg.DescribeQuorum, func(broker int32, req kmsg.Request) kmsg.Response {
		resp := quorum(broker, req)
		if s.called(kmsg.DescribeQuorum) <= 3 { // the first round
			resp.Topics[0].Partitions[0].ErrorCode = kerr.NotLeaderForPartition.Code
		}
		return resp
	})
	report, err := s.client().ISR(t.Context(), ISRQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 || report.Partitions[0].Source != SourceLeader {
		t.Errorf("report %s", show(report))
	}
}

func TestISRGivesUpOnALeaderThatKeepsMoving(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 1)
	s.on(kmsg.DescribeQuorum, func(broker int32, req kmsg.Request) kmsg.Response {
		resp := quorum(broker, req)
		resp.Topics[0].Partitions[0].ErrorCode = kerr.NotLeaderForPartition.Code
		return resp
	})
	report, err := s.client().ISR(t.Context(), ISRQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if got := subjects(report.Problems); !slices.Equal(got, []string{"partition orders:0"}) {
		t.Errorf("problems %v", got)
	}
	if n := s.called(kmsg.DescribeQuorum); n != movedAttempts {
		t.Errorf("asked %d times, want %d", n, movedAttempts)
	}
}

// TestISROnStockKafka has brokers that answer DescribeQuorum for their
// metadata log alone, and everything else as Kafka does.
func TestISROnStockKafka(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.on(kmsg.DescribeQuorum, func(broker int32, req kmsg.Request) kmsg.Response {
		resp := quorum(broker, req)
		resp.UnknownTags = kmsg.Tags{}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				resp.Topics[i].Partitions[j].ErrorCode = kerr.UnknownTopicOrPartition.Code
			}
		}
		return resp
	})
	ends := map[int32]int64{1: 120, 2: 100, 3: 120}
	s.on(kmsg.ListOffsets, func(broker int32, req kmsg.Request) kmsg.Response {
		ask := req.(*kmsg.ListOffsetsRequest)
		resp := ask.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "orders"
		for _, p := range ask.Topics[0].Partitions {
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.Partition = p.Partition
			switch {
			case ask.ReplicaID == debuggingReplica:
				partition.Offset = ends[broker]
			case p.Partition == broker-1:
				partition.Offset = 99 // the high watermark, from the leader alone
			default:
				partition.ErrorCode = kerr.NotLeaderForPartition.Code
			}
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	s.on(kmsg.DescribeConfigs, func(_ int32, req kmsg.Request) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		resource := kmsg.NewDescribeConfigsResponseResource()
		resource.ResourceName = "orders"
		config := kmsg.NewDescribeConfigsResponseResourceConfig()
		config.Name, config.Value = minInsyncKey, kmsg.StringPtr("2")
		resource.Configs = append(resource.Configs, config)
		resp.Resources = append(resp.Resources, resource)
		return resp
	})
	s.on(kmsg.DescribeTopicPartitions, func(_ int32, req kmsg.Request) kmsg.Response { return elrPageOf(req) })

	client := s.client()
	report, err := client.ISR(t.Context(), ISRQuery{Selectors: []Selector{{"orders", 0}}})
	if err != nil {
		t.Fatal(err)
	}
	p := report.Partitions[0]
	if p.HighWatermark == nil || p.LogEndOffset == nil || p.MinInsyncReplicas == nil || p.Followers[0].LagRecords == nil {
		t.Fatalf("partition %s", show(report))
	}
	if p.Source != SourceReplicas || *p.HighWatermark != 99 || *p.LogEndOffset != 120 || *p.MinInsyncReplicas != 2 {
		t.Errorf("partition %s", show(p))
	}
	if !slices.Equal(p.ELR, []int32{3}) {
		t.Errorf("ELR %v, want 3", p.ELR)
	}
	if f := p.Followers[0]; f.Broker != 2 || *f.LagRecords != 20 || f.LagBytes != nil || f.LagMillis != nil || f.DurableEndOffset != nil {
		t.Errorf("follower %s", show(f))
	}
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "do not report the view of a leader") {
		t.Errorf("notes %q", report.Notes)
	}

	links, err := client.Replication(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(links.Links) != 6 || links.Links[0].Source != SourceReplicas || *links.Links[0].LagRecords != 20 || links.Links[0].RTTP50Micros != nil {
		t.Errorf("links %s", show(links))
	}
}

// elrPageOf answers one partition a page, to walk the cursor.
func elrPageOf(req kmsg.Request) kmsg.Response {
	ask := req.(*kmsg.DescribeTopicPartitionsRequest)
	resp := ask.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	number := int32(0)
	if ask.Cursor != nil {
		number = ask.Cursor.Partition
	}
	topic := kmsg.NewDescribeTopicPartitionsResponseTopic()
	topic.Topic = kmsg.StringPtr("orders")
	p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	p.Partition, p.LeaderID, p.EligibleLeaderReplicas = number, 1, []int32{3}
	topic.Partitions = append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	cursor := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	// The last page repeats its cursor for ever, which must not hold us.
	cursor.Topic, cursor.Partition = "orders", min(number+1, 2)
	resp.NextCursor = &cursor
	return resp
}

func TestReplicationAsksEveryBroker(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.quorums()
	s.stop(3)
	report, err := s.client().Replication(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range report.Links {
		got = append(got, brokerSubject(l.From)+" "+brokerSubject(l.To)+" "+l.State)
	}
	want := []string{"broker 1 broker 2 ok", "broker 2 broker 3 ok", "broker 3 broker 1 unknown", "broker 3 broker 2 unknown"}
	if !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if unknown := report.Links[2]; unknown.LagRecords != nil || *unknown.Partitions != 1 || unknown.Reconnects != nil {
		t.Errorf("link of a broker that is gone: %s", show(unknown))
	}
	if got := subjects(report.Problems); !slices.Equal(got, []string{"broker 3"}) {
		t.Errorf("problems %v", got)
	}
}

func TestOpenTriesEverySeed(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 1)
	closed, silent := newScripted(t, 1), newScripted(t, 1)
	closed.stop(1)
	silent.on(kmsg.Metadata, func(int32, kmsg.Request) kmsg.Response { return nil })
	began := time.Now()
	c, err := Open(t.Context(), Options{Seeds: slices.Concat(silent.seeds(), closed.seeds(), s.seeds())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ids, err := c.Brokers(t.Context()); err != nil || !slices.Equal(ids, []int32{1}) {
		t.Errorf("brokers %v, %v", ids, err)
	}
	if took := time.Since(began); took > brokerTimeout/2 {
		t.Errorf("a silent seed cost %s", took)
	}
}

func TestOpenSaysWhatHappenedAtEachSeed(t *testing.T) {
	t.Parallel()
	closed, rude := newScripted(t, 1), newScripted(t, 1)
	closed.stop(1)
	rude.mu.Lock()
	rude.scripts = nil // it does not know Metadata
	rude.mu.Unlock()
	_, err := Open(t.Context(), Options{Seeds: slices.Concat(closed.seeds(), rude.seeds())})
	unreachable, ok := errors.AsType[*UnreachableError](err)
	if !ok || !errors.Is(err, ErrUnreachable) || len(unreachable.Attempts) != 2 {
		t.Fatalf("error %v", err)
	}
	for _, a := range unreachable.Attempts {
		if (a.Err == nil) != (a.Address == rude.seeds()[0]) || (a.Err == nil) == (a.Answer == nil) {
			t.Errorf("attempt %+v", a)
		}
	}
	if got := unreachable.Advertised(); len(got) != 0 {
		t.Errorf("seeds are taken for advertised addresses: %v", got)
	}
}

func TestOpenKeepsItsDeadline(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 1)
	s.on(kmsg.Metadata, func(int32, kmsg.Request) kmsg.Response { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Open(ctx, Options{Seeds: s.seeds()}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v, want the deadline", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestSeedsWithoutAPortGetKafkas(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, seed, want string }{
		{"name", "kafka1", "kafka1:9092"},
		{"name and port", "kafka1:1234", "kafka1:1234"},
		{"IPv6", "::1", "[::1]:9092"},
		{"IPv6 in brackets", "[::1]", "[::1]:9092"},
		{"IPv6 and port", "[::1]:1234", "[::1]:1234"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			expect(t, Options{Seeds: []string{tc.seed}}.withDefaults().Seeds, []string{tc.want})
		})
	}
}

func TestCreateWaitsForLeadersAndISR(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.on(kmsg.CreateTopics, func(_ int32, req kmsg.Request) kmsg.Response {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		asked := req.(*kmsg.CreateTopicsRequest).Topics[0]
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = asked.Topic, 3, 3
		config := kmsg.NewCreateTopicsResponseTopicConfig()
		config.Name, config.Value = minInsyncKey, kmsg.StringPtr("2")
		topic.Configs = append(topic.Configs, config)
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var incomplete, asked atomic.Int32
	s.on(kmsg.Metadata, func(int32, kmsg.Request) kmsg.Response {
		if asked.Add(incomplete.Load()) > 9 { // some rounds of three brokers have been answered
			cancel()
		}
		resp := s.metadata()
		switch n := s.called(kmsg.Metadata); {
		case n < 4:
			resp.Topics[0].Partitions[1].Leader = -1
		case n < 6:
			resp.Topics[0].Partitions[2].ISR = []int32{3}
		}
		return resp
	})
	c := s.client()
	created, err := c.CreateTopic(t.Context(), TopicSpec{Name: "orders"}, false)
	if err != nil || !created.Created || created.Partitions != 3 || *created.MinInsyncReplicas != 2 {
		t.Fatalf("created %s, %v", show(created), err)
	}
	if have, err := c.WaitTopic(t.Context(), "orders", 3, true); err != nil || have != (Readiness{3, 3, 3}) {
		t.Errorf("ready %+v, %v", have, err)
	}
	incomplete.Store(1)
	_, err = c.WaitTopic(ctx, "orders", 4, false)
	late, ok := errors.AsType[*NotReadyError](err)
	if !ok || !errors.Is(err, context.Canceled) || late.Have.Partitions != 3 {
		t.Errorf("error %v, want what is missing", err)
	}
}

func TestAdvertisedAddressesThatCannotBeReached(t *testing.T) {
	t.Parallel()
	e := &UnreachableError{
		Seeds:    []string{"a:1"},
		Attempts: []Attempt{{Address: "a:1"}, {Address: "b:2", Err: net.ErrClosed}, {Address: "c:3"}},
	}
	expect(t, e.Advertised(), []Attempt{{Address: "b:2", Err: net.ErrClosed}})
}

func TestWaitingMeansEveryBroker(t *testing.T) {
	t.Parallel()
	s := newScripted(t, 3)
	s.stop(2) // has no say
	var late atomic.Int32
	s.on(kmsg.Metadata, func(broker int32, _ kmsg.Request) kmsg.Response {
		resp := s.metadata()
		if broker == 3 && late.Add(1) <= 4 {
			resp.Topics = nil
		}
		return resp
	})
	c, err := Open(t.Context(), Options{Seeds: s.seeds()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WaitTopic(t.Context(), "orders", 3, true); err != nil || late.Load() <= 4 {
		t.Errorf("returned after %d answers of the late broker, %v", late.Load(), err)
	}
	late.Store(-100)
	s.on(kmsg.Metadata, func(broker int32, _ kmsg.Request) kmsg.Response {
		resp := s.metadata()
		if broker == 1 || late.Add(1) > -97 {
			resp.Topics = nil
		}
		return resp
	})
	if err := c.WaitTopicGone(t.Context(), "orders"); err != nil || late.Load() <= -97 {
		t.Errorf("returned after %d answers of the late broker, %v", late.Load()+100, err)
	}
}
