package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/harness"
)

// createTopic asks until the cluster has enough brokers for the topic.
func createTopic(ctx context.Context, t *testing.T, client *kgo.Client, topic string, partitions int32, replicas int16) {
	t.Helper()
	admin := kadm.NewClient(client)
	harness.Await(ctx, t, fmt.Sprintf("topic %s on %d brokers", topic, replicas), func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := admin.CreateTopic(attempt, partitions, replicas, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil // an attempt before was carried out after its time
		}
		return err
	})
}
