package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// progress is how many acknowledgements on every partition show that writing
// goes on: a run that stalls there proves nothing about what follows.
const progress = 50

// stallLimit bounds how long acks=all may stand still after a kill: fencing,
// election and the client's own retries, on a machine that does other things.
const stallLimit = 20 * time.Second

// victims are the brokers that must not be missed, in the order in which they
// are killed.
var victims = []struct {
	name string
	pick func(kadm.Metadata, kadm.TopicDetail) int32
}{
	{
		name: "the leader of partition 0",
		pick: func(_ kadm.Metadata, topic kadm.TopicDetail) int32 { return topic.Partitions[0].Leader },
	},
	{
		name: "a follower of partition 0",
		pick: func(_ kadm.Metadata, topic kadm.TopicDetail) int32 {
			p := topic.Partitions[0]
			return p.ISR[slices.IndexFunc(p.ISR, func(id int32) bool { return id != p.Leader })]
		},
	},
	{
		name: "the controller",
		pick: func(md kadm.Metadata, _ kadm.TopicDetail) int32 { return md.Controller },
	},
}

// TestNoAckedRecordIsLost kills brokers with SIGKILL under load and then reads
// every partition from every in-sync replica.
func TestNoAckedRecordIsLost(t *testing.T) {
	t.Parallel()
	brokers := harness.Start(t, devcluster.Options{})
	const partitions = 3
	l := newLoad(t, brokers.Bootstrap(), "orders", partitions)
	createTopic(harness.Within(t, 10*time.Second), t, l.client, l.topic, partitions, 3)

	loadCtx, stopLoad := context.WithCancel(t.Context())
	loaded := make(chan error, 1)
	go func() { loaded <- l.run(loadCtx) }()
	t.Cleanup(stopLoad)

	for _, victim := range victims {
		detail := awaitInSync(harness.Within(t, 30*time.Second), t, l.client, l.topic, 3)
		l.awaitMore(harness.Within(t, stallLimit), t, progress)
		_, md, err := describe(harness.Within(t, 5*time.Second), l.client, l.topic)
		if err != nil {
			t.Fatal(err)
		}
		broker := victim.pick(md, detail)
		index, ok := brokers.Index(int(broker))
		if !ok {
			t.Fatalf("%s is broker %d, which is not of this cluster", victim.name, broker)
		}
		if err := brokers.Kill(index); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed %s, broker %d: %d more acks on each partition after %v",
			victim.name, broker, progress, l.awaitMore(harness.Within(t, stallLimit), t, progress).Round(time.Millisecond))
		if err := brokers.Restart(harness.Within(t, 30*time.Second), index); err != nil {
			t.Fatal(err)
		}
	}

	detail := awaitInSync(harness.Within(t, 30*time.Second), t, l.client, l.topic, 3)
	l.awaitMore(harness.Within(t, stallLimit), t, progress)
	stopLoad()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	for _, failure := range l.failed {
		t.Errorf("the producer gave up: %s", failure)
	}
	checkReplicas(harness.Within(t, 30*time.Second), t, l, detail)
	t.Logf("read back %v acknowledged records from each of three replicas", l.counts())
}
