package load

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askTimeout bounds one question to one broker.
const askTimeout = time.Second

// peer asks one broker, and only that one. Nothing is tried again.
type peer struct {
	node  int32
	kafka *kgo.Client
}

func newPeer(cfg *Config, node int32) (*peer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(cfg.Brokers[node]),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(answerOverhead),
		kgo.DisableFetchSessions(),
	)
	if err != nil {
		return nil, fmt.Errorf("client of broker %d: %w", node, err)
	}
	return &peer{node: node, kafka: client}, nil
}

// newPeers returns one for each broker.
func newPeers(cfg *Config) (peers map[int32]*peer, closeAll func(), err error) {
	peers = map[int32]*peer{}
	closeAll = func() {
		for _, p := range peers {
			p.kafka.Close()
		}
	}
	for node := range cfg.Brokers {
		if peers[node], err = newPeer(cfg, node); err != nil {
			delete(peers, node)
			closeAll()
			return nil, nil, err
		}
	}
	return peers, closeAll, nil
}

// ask sends one request, within a time.
func ask[Response kmsg.Response](ctx context.Context, p *peer, req kmsg.Request, within time.Duration) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var none Response
	resp, err := p.kafka.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return none, fmt.Errorf("ask broker %d: %w", p.node, err)
	}
	typed, ok := resp.(Response)
	if !ok {
		return none, fmt.Errorf("broker %d answers a %T with a %T", p.node, req, resp)
	}
	return typed, nil
}

// metadata asks one broker about the topic.
func (p *peer) metadata(ctx context.Context, topic string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	resp, err := ask[*kmsg.MetadataResponse](ctx, p, req, askTimeout)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("broker %d describes %d topics, want one", p.node, len(resp.Topics))
	}
	return &resp.Topics[0], kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// latest asks one broker for the high watermarks of the partitions that it
// leads.
func (p *peer) latest(ctx context.Context, topic string, partitions int32) ([]kmsg.ListOffsetsResponseTopicPartition, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for partition := range partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp = partition, -1
		asked.Partitions = append(asked.Partitions, one)
	}
	req.Topics = append(req.Topics, asked)
	resp, err := ask[*kmsg.ListOffsetsResponse](ctx, p, req, askTimeout)
	if err != nil {
		return nil, err
	}
	var led []kmsg.ListOffsetsResponseTopicPartition
	for _, t := range resp.Topics {
		for _, one := range t.Partitions {
			if one.ErrorCode == 0 {
				led = append(led, one)
			}
		}
	}
	return led, nil
}
