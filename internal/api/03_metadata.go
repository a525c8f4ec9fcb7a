package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// Metadata: v0-13
//
// Behavior:
//   - Answers from the image that this broker has applied, whatever the state of
//     the rest of the cluster. Only of its own leaderships it may know better.
//   - A partition without a leader is listed with LEADER_NOT_AVAILABLE, and so is
//     one that this broker leads while its lease has run out. Replicas on brokers
//     that are fenced or unknown are offline.
//   - A topic that does not exist is created when the client and this broker
//     both allow it; the reply then waits for the topic, for a few seconds.
//   - Authorised operations are left out: there is no authorisation.
//
// Version notes:
//   - v0: an empty list means all topics; from v1 on null does
//   - v4: clients may forbid auto creation
//   - v5: offline replicas
//   - v7: leader epoch
//   - v9: flexible
//   - v10: topic ids
//   - v12: topics by id alone
//   - v13: error code of the whole response

// autoCreateTimeout bounds how long a client waits for a topic that its
// request creates.
const autoCreateTimeout = 5 * time.Second

func (t *Table) metadata(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.MetadataRequest)
	missing := t.autoCreatable(t.o.Metadata.Image(), body)
	if len(missing) == 0 {
		return wire.Now(t.metadataResponse(t.o.Metadata.Image(), body, nil)), nil
	}
	return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, autoCreateTimeout)
		defer cancel()
		failed := map[string]error{}
		for _, name := range missing {
			if err := t.autoCreate(ctx, name); err != nil {
				failed[name] = err
			}
		}
		return t.metadataResponse(t.o.Metadata.Image(), body, failed), nil
	}), nil
}

// autoCreatable lists the topics that the request is to create.
func (t *Table) autoCreatable(img *cluster.Image, body *kmsg.MetadataRequest) []string {
	const firstChoice = 4 // before it, clients cannot say no
	if !t.o.AutoCreateTopics || body.Version >= firstChoice && !body.AllowAutoTopicCreation {
		return nil
	}
	var missing []string
	for i := range body.Topics {
		name := body.Topics[i].Topic
		if name == nil || reserved(*name) || cluster.ValidateTopicName(*name) != nil {
			continue
		}
		if topicByName(img, *name) == nil {
			missing = append(missing, *name)
		}
	}
	return missing
}

// autoCreate creates a topic and waits until this broker knows it.
func (t *Table) autoCreate(ctx context.Context, name string) error {
	res, err := t.o.Admin.CreateTopic(ctx, TopicSpec{
		Name: name, Partitions: t.o.DefaultPartitions,
		ReplicationFactor: t.replicationFactor(t.o.Metadata.Image()),
	})
	switch {
	case errors.Is(err, cluster.ErrTopicExists): // somebody else was faster
		return t.awaitTopic(ctx, name)
	case err != nil:
		return err
	}
	return t.awaitIndex(ctx, res.Index)
}

func (t *Table) metadataResponse(img *cluster.Image, body *kmsg.MetadataRequest, failed map[string]error) *kmsg.MetadataResponse {
	resp := body.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = clusterID(img)
	resp.ControllerID = int32(t.o.Controller())
	for _, b := range alive(img) {
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{
			NodeID: int32(b.ID), Host: b.Client.Host, Port: b.Client.Port, Rack: rack(b),
		})
	}
	if body.Topics == nil || body.Version == 0 && len(body.Topics) == 0 {
		for _, topic := range img.Topics() {
			resp.Topics = append(resp.Topics, t.topicMetadata(img, topic))
		}
		return resp
	}
	for i := range body.Topics {
		resp.Topics = append(resp.Topics, t.askedTopic(img, &body.Topics[i], failed))
	}
	return resp
}

// askedTopic answers one entry of the request: by id if it has no name.
func (t *Table) askedTopic(img *cluster.Image, asked *kmsg.MetadataRequestTopic, failed map[string]error) kmsg.MetadataResponseTopic {
	var topic *cluster.Topic
	var err error
	if asked.Topic == nil {
		topic, _ = img.TopicByID(asked.TopicID)
		err = errUnknownTopicID
	} else {
		topic = topicByName(img, *asked.Topic)
		err = cluster.ErrUnknownTopic
		if invalid := cluster.ValidateTopicName(*asked.Topic); invalid != nil {
			err = invalid
		} else if failed[*asked.Topic] != nil {
			err = failed[*asked.Topic]
		}
	}
	switch {
	case topic != nil:
		return t.topicMetadata(img, topic)
	case img.Index() == 0:
		err = errNoLeader // nothing is known yet: clients try again
	}
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.TopicID = asked.Topic, asked.TopicID
	answer.ErrorCode = int16(codeOf(err))
	return answer
}

func (t *Table) topicMetadata(img *cluster.Image, topic *cluster.Topic) kmsg.MetadataResponseTopic {
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.TopicID, answer.IsInternal = &topic.Name, topic.ID, internal(topic.Name)
	answer.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(topic.Partitions))
	for i, p := range topic.Partitions {
		leader := t.leaderOf(topic.TopicPartition(i), p)
		answer.Partitions[i] = kmsg.MetadataResponseTopicPartition{
			ErrorCode: int16(codeOf(leaderError(topic, int32(i), leader.leader))),
			Partition: int32(i), Leader: int32(leader.leader), LeaderEpoch: int32(leader.epoch),
			Replicas: ids(p.Replicas), ISR: ids(p.ISR), OfflineReplicas: offline(img, p),
		}
	}
	return answer
}

// leaderOf is where to send a client. The image decides, except where it names
// this broker, which knows better: it may be about to be replaced, or have heard
// from its successor before the metadata log told it. Nothing is said against
// other leaders, however long no controller was heard from: without a quorum of
// the metadata log those that reach their followers go on.
func (t *Table) leaderOf(tp cluster.TopicPartition, p *cluster.Partition) hint {
	of := hint{leader: p.Leader, epoch: p.LeaderEpoch}
	if p.Leader != t.o.Self {
		return of
	}
	replica, ok := t.o.Partitions.Get(tp)
	if !ok {
		return of
	}
	// A successor of which only its session tells is not named: when the session
	// ends, this broker would go back to an older epoch.
	if leader, epoch := replica.Leader(); epoch >= of.epoch && leader != t.o.Self {
		of.leader = cluster.NoBroker
	}
	return of
}

// leaderError is what is wrong with a partition as a whole.
func leaderError(topic *cluster.Topic, index int32, leader cluster.BrokerID) error {
	if leader == cluster.NoBroker {
		return topicError(topic.Name, index, errNoLeader)
	}
	return nil
}

// offline lists the replicas that cannot serve, for want of their broker.
func offline(img *cluster.Image, p *cluster.Partition) []int32 {
	out := []int32{}
	for _, id := range p.Replicas {
		if b, ok := img.Broker(id); !ok || b.Fenced {
			out = append(out, int32(id))
		}
	}
	return out
}

// clusterID is null until the first leader of the metadata log has chosen one.
func clusterID(img *cluster.Image) *string {
	id := img.ClusterID()
	if id == "" {
		return nil
	}
	return &id
}
