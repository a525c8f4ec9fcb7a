package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// DeleteTopics: v1-6
//
// Behavior:
//   - Any broker takes the request; the controller decides. The reply waits until
//     the topic is gone from this broker's metadata and its local replicas from
//     the disk.
//   - The topic is looked up here and deleted by id, so that a topic which was
//     deleted and created again meanwhile is not deleted in its place.
//
// Version notes:
//   - v4: flexible
//   - v5: error message
//   - v6: topics by id
func (t *Table) deleteTopics(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.DeleteTopicsRequest)
	asked := body.Topics
	for i := range body.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &body.TopicNames[i]})
	}
	return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
		ctx, cancel := context.WithDeadline(ctx, req.Received.Add(t.timeout(body.TimeoutMillis)))
		defer cancel()
		resp := respond[*kmsg.DeleteTopicsResponse](req)
		for i := range asked {
			answer := kmsg.NewDeleteTopicsResponseTopic()
			answer.Topic, answer.TopicID = asked[i].Topic, asked[i].TopicID
			topic, err := findTopic(t.o.Metadata.Image(), asked[i].Topic, asked[i].TopicID)
			if err == nil {
				answer.Topic, answer.TopicID = &topic.Name, topic.ID
				err = t.deleteTopic(ctx, topic)
			}
			answer.ErrorCode, answer.ErrorMessage = int16(codeOf(err)), message(err)
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil
	}), nil
}

// findTopic finds a topic by name, or by id if there is no name.
func findTopic(img *cluster.Image, name *string, id cluster.UUID) (*cluster.Topic, error) {
	if name != nil && id != cluster.ZeroUUID {
		return nil, fmt.Errorf("topic %q: both a name and an id: %w", *name, cluster.ErrInvalidRequest)
	}
	if name != nil {
		if topic := topicByName(img, *name); topic != nil {
			return topic, nil
		}
		return nil, fmt.Errorf("topic %q: %w", *name, cluster.ErrUnknownTopic)
	}
	if topic, ok := img.TopicByID(id); ok {
		return topic, nil
	}
	return nil, fmt.Errorf("topic id %s: %w", id, errUnknownTopicID)
}

func (t *Table) deleteTopic(ctx context.Context, topic *cluster.Topic) error {
	res, err := t.o.Admin.DeleteTopic(ctx, topic.ID, topic.Name)
	if err != nil {
		return err
	}
	return t.awaitIndex(ctx, res.Index)
}
