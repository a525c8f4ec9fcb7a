package metadata

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/devcluster"
)

// brokers is how many a cluster has.
const brokers = 3

// answerLimit is how long a client waits for a broker, and how long a broker is
// told to try.
const answerLimit = 2 * time.Second

// asker talks to one broker and to no other.
type asker struct {
	client *kgo.Client
	broker *kgo.Broker
}

// askers returns one for every broker.
func askers(t *testing.T, c *devcluster.Cluster) []asker {
	t.Helper()
	all := make([]asker, 0, brokers)
	for _, address := range c.Bootstrap() {
		client, err := kgo.NewClient(kgo.SeedBrokers(address))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		all = append(all, asker{client: client, broker: client.SeedBrokers()[0]})
	}
	return all
}

// ask sends one request, once.
func ask[R kmsg.Response](ctx context.Context, a asker, req kmsg.Request) (resp R, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	got, err := a.broker.Request(ctx, req)
	if err != nil {
		return resp, err
	}
	return got.(R), nil
}

// notSent reports whether an error proves that the broker was sent nothing.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// tagConfig is the configuration that carries a topic's tag: any number will do.
const tagConfig = "retention.ms"

// create returns the new topic's id. The code is zero if it is known.
func (a asker) create(ctx context.Context, topic, tag string) (id string, code error, err error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(answerLimit.Milliseconds())
	spec := kmsg.NewCreateTopicsRequestTopic()
	spec.Topic, spec.NumPartitions, spec.ReplicationFactor = topic, 1, brokers-1
	spec.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: tagConfig, Value: &tag}}
	req.Topics = append(req.Topics, spec)
	resp, err := ask[*kmsg.CreateTopicsResponse](ctx, a, req)
	if err != nil {
		return "", nil, err
	}
	got := resp.Topics[0]
	return text(got.TopicID), kerr.ErrorForCode(got.ErrorCode), nil
}

// remove returns the id of the topic that was deleted.
func (a asker) remove(ctx context.Context, topic string) (id string, code error, err error) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(answerLimit.Milliseconds())
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &topic}}
	req.TopicNames = []string{topic}
	resp, err := ask[*kmsg.DeleteTopicsResponse](ctx, a, req)
	if err != nil {
		return "", nil, err
	}
	got := resp.Topics[0]
	return text(got.TopicID), kerr.ErrorForCode(got.ErrorCode), nil
}

// tag reads a topic's configuration; empty if there is no such topic.
func (a asker) tag(ctx context.Context, topic string) (string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{tagConfig}
	req.Resources = append(req.Resources, r)
	resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, a, req)
	if err != nil {
		return "", err
	}
	got := resp.Resources[0]
	switch code := kerr.ErrorForCode(got.ErrorCode); {
	case errors.Is(code, kerr.UnknownTopicOrPartition):
		return "", nil
	case code != nil:
		return "", code
	default:
		return *got.Configs[0].Value, nil
	}
}

// describe reads a topic; nil if there is none.
func (a asker) describe(ctx context.Context, topic string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	resp, err := ask[*kmsg.MetadataResponse](ctx, a, req)
	if err != nil {
		return nil, err
	}
	got := &resp.Topics[0]
	switch code := kerr.ErrorForCode(got.ErrorCode); {
	case errors.Is(code, kerr.UnknownTopicOrPartition):
		return nil, nil //nolint:nilnil // there is no topic, and that is the answer
	case code != nil:
		return nil, code
	default:
		return got, nil
	}
}

// controller is the broker that a broker takes for the controller, or -1.
func (a asker) controller(ctx context.Context) int {
	resp, err := ask[*kmsg.MetadataResponse](ctx, a, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return -1
	}
	return int(resp.ControllerID)
}

func text(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return strconv.Quote(string(id[:]))
}

// topics returns all topics of a broker, by name, with their ids.
func (a asker) topics(ctx context.Context) (map[string]string, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	resp, err := ask[*kmsg.MetadataResponse](ctx, a, req)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, topic := range resp.Topics {
		all[*topic.Topic] = text(topic.TopicID)
	}
	return all, nil
}
