//go:build faults && linux

package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		os.Exit(m.Run())
	}
	os.Exit(Private(func() int { return harness.Main(m) }))
}

// TestBrokerOnDisks runs a whole broker, metadata store and all, on each disk
// that can lose power, and cuts it a few times: the broker works on the disk,
// the cut is one, and what was acknowledged is there.
func TestBrokerOnDisks(t *testing.T) {
	for name, d := range map[string]Volatile{
		"ext4":   NewExt4(t, Ext4Options{Bytes: 512 << 20}),
		"faulty": NewFaulty(t, FaultyOptions{LoseUnsynced: true}),
	} {
		t.Run(name, func(t *testing.T) { cutBroker(t, d) })
	}
}

func cutBroker(t *testing.T, d Volatile) {
	ctx := harness.Within(t, 2*time.Minute)
	brokers, err := devcluster.Prepare(ctx, devcluster.Options{Binary: harness.Binary(), Dir: t.TempDir(), Brokers: 1})
	must(t, err)
	t.Cleanup(func() {
		_ = brokers.Kill(0)
		harness.Report(t, brokers.Close(context.WithoutCancel(ctx)))
	})
	const lives = 4
	acked := map[string]bool{}
	rng := rand.New(rand.NewPCG(1, 1))
	for life := range lives {
		must(t, brokers.Launch(0, "--data-dir", filepath.Join(d.Dir(), "data")))
		harness.Report(t, brokers.AwaitReady(ctx, 0))
		if t.Failed() {
			return
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(brokers.Bootstrap()...), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
		must(t, err)
		for i := range 50 {
			value := fmt.Sprint(life, "-", i)
			must(t, client.ProduceSync(ctx, &kgo.Record{Value: []byte(value)}).FirstErr())
			acked[value] = true
		}
		client.Close()
		if f, ok := d.(*Faulty); ok {
			f.SetLoss(Loss{Rand: rng})
		}
		must(t, d.PowerCut())
		must(t, brokers.Kill(0))
		must(t, d.Remount())
	}
	must(t, brokers.Launch(0, "--data-dir", filepath.Join(d.Dir(), "data")))
	harness.Report(t, brokers.AwaitReady(ctx, 0))
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers.Bootstrap()...), kgo.ConsumeTopics("t"))
	must(t, err)
	defer client.Close()
	for found := map[string]bool{}; len(found) < len(acked); {
		fetches := client.PollFetches(ctx)
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if !acked[string(r.Value)] {
				t.Errorf("offset %d holds %q", r.Offset, r.Value)
			}
			if found[string(r.Value)] {
				t.Errorf("%q is there twice, again at offset %d", r.Value, r.Offset)
			}
			found[string(r.Value)] = true
		})
	}
}
