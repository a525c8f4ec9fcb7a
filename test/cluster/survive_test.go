package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
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

// faults are what happens to the cluster, in this order. Whoever is killed
// comes back; before the next fault everything is in sync again.
var faults = []struct {
	name    string
	victims func(kadm.Metadata, kadm.TopicDetail) []int32
	// atOnce restarts the victims before anyone else has had to take over:
	// either nobody can, or nobody may have noticed.
	atOnce bool
}{
	{name: "the leader of partition 0", victims: leader},
	{name: "a follower of partition 0", victims: follower},
	{name: "the controller", victims: func(md kadm.Metadata, _ kadm.TopicDetail) []int32 { return []int32{md.Controller} }},
	{name: "the leader, which is back at once", victims: leader, atOnce: true},
	{name: "all three brokers", victims: func(_ kadm.Metadata, topic kadm.TopicDetail) []int32 { return topic.Partitions[0].ISR }, atOnce: true},
}

func leader(_ kadm.Metadata, topic kadm.TopicDetail) []int32 {
	return []int32{topic.Partitions[0].Leader}
}

func follower(_ kadm.Metadata, topic kadm.TopicDetail) []int32 {
	p := topic.Partitions[0]
	return slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == p.Leader })[:1]
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

	for _, fault := range faults {
		detail := awaitInSync(harness.Within(t, 30*time.Second), t, l.client, l.topic, 3)
		l.awaitMore(harness.Within(t, stallLimit), t, progress)
		_, md, err := describe(harness.Within(t, 5*time.Second), l.client, l.topic)
		if err != nil {
			t.Fatal(err)
		}
		victims := indexes(t, brokers, fault.victims(md, detail))
		for _, i := range victims {
			if err := brokers.Kill(i); err != nil {
				t.Fatal(err)
			}
		}
		if fault.atOnce {
			restart(t, brokers, victims)
		}
		t.Logf("killed %s: %d more acks on each partition after %v",
			fault.name, progress, l.awaitMore(harness.Within(t, stallLimit), t, progress).Round(time.Millisecond))
		if !fault.atOnce {
			restart(t, brokers, victims)
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

// indexes translates broker ids.
func indexes(t *testing.T, brokers *devcluster.Cluster, ids []int32) []int {
	t.Helper()
	var found []int
	for _, id := range ids {
		i, ok := brokers.Index(int(id))
		if !ok {
			t.Fatalf("broker %d is not of this cluster", id)
		}
		found = append(found, i)
	}
	return found
}

// restart starts killed brokers together: none of three is ready alone.
func restart(t *testing.T, brokers *devcluster.Cluster, victims []int) {
	t.Helper()
	ctx := harness.Within(t, 30*time.Second)
	errs := make([]error, len(victims))
	var started sync.WaitGroup
	for n, i := range victims {
		started.Go(func() { errs[n] = brokers.Restart(ctx, i) })
	}
	started.Wait()
	if err := errors.Join(errs...); err != nil {
		harness.Report(t, err)
		t.FailNow()
	}
}
