package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/testcluster"
)

// realCluster starts three brokers of ours in this process, on disks and a
// network that can be slowed down.
func realCluster(t *testing.T) (*testcluster.Cluster, Target) {
	t.Helper()
	c := testcluster.New(testcluster.Options{
		Dir: t.TempDir(), HTTP: true, DrainTimeout: 100 * time.Millisecond, Rand: rand.New(rand.NewPCG(1, 1)), Latency: 100 * time.Microsecond, Sync: 500 * time.Microsecond,
	})
	t.Cleanup(c.Close)
	c.Start()
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, Target{
		Client: []kgo.Opt{kgo.SeedBrokers(c.Seeds()...), kgo.Dialer(c.DialContext)}, Version: "test",
		Partitions: 3, TopicConfigs: map[string]string{"min.insync.replicas": "2"},
	}
}

// One broker's disk, or the links to it, are slow. The stages blame it as a
// follower, and say which of the two it is.
//
// Not parallel: the brokers share the machine with the load.
func TestStagesBlameTheSlowFollower(t *testing.T) {
	const slow = cluster.BrokerID(3)
	tests := []struct {
		name string
		harm func(*testcluster.Cluster)
		// most returns the hop that was made slow, and the one that was not.
		most func(*FollowerPath) (slow, other float64)
	}{
		{
			name: "its disk",
			harm: func(c *testcluster.Cluster) { c.Disk(slow).SetSync(40 * time.Millisecond) },
			most: func(f *FollowerPath) (float64, float64) { return f.Fsync + f.Queue, f.Net },
		},
		{
			name: "the links to it",
			harm: func(c *testcluster.Cluster) {
				c.SetLatency(1, slow, 30*time.Millisecond)
				c.SetLatency(2, slow, 30*time.Millisecond)
			},
			most: func(f *FollowerPath) (float64, float64) { return f.Net, f.Fsync + f.Queue },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, target := realCluster(t)
			tt.harm(c)
			report, err := Run(t.Context(), Config{
				Target: target, Arms: []Arm{AcksAll, AcksLeader}, Rate: 300, Duration: 2 * time.Second, Warmup: 200 * time.Millisecond, WarmupMax: 200 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.StagesNotes) != 0 {
				t.Errorf("notes: %q", report.StagesNotes)
			}
			all := report.Stages[0]
			if all.Source != SourceTraces || all.Acked != 300 || all.Records < all.Acked*9/10 {
				t.Fatalf("explained %d of %d records by %q", all.Records, all.Acked, all.Source)
			}
			whole := all.Cohorts[len(all.Cohorts)-1]
			t.Logf("mean %.0f us: client %.0f net %.0f queue %.0f append %.0f fsync %.0f follower %.0f (%+v) respond %.0f, last %s",
				whole.Mean, whole.Client, whole.Net, *whole.Queue, *whole.Append, *whole.Fsync, *whole.Slowest, *whole.Follower, *whole.Respond, lastText(whole))
			blamed := 0.0
			for _, l := range whole.Last {
				if l.Role == RoleFollower && *l.Broker == int32(slow) {
					blamed = l.Share
				}
			}
			// It leads a third of the records itself, and is no follower of those.
			if blamed < 0.55 || *whole.Slowest < whole.Mean/3 {
				t.Errorf("broker %d was last in %.0f%% of the records, followers took %.0f of %.0f us", slow, 100*blamed, *whole.Slowest, whole.Mean)
			}
			if more, less := tt.most(whole.Follower); more < 3*less {
				t.Errorf("what was made slow took %.0f us, what was not %.0f us: %+v", more, less, whole.Follower)
			}
			for _, r := range report.Stages {
				for _, cohort := range r.Cohorts {
					if sumOf(cohort) != nanos(cohort.Mean) || cohort.Net < 0 || cohort.Client < 0 {
						t.Errorf("acks=%s %s: %+v", r.Acks, cohort.Name, cohort)
					}
				}
			}
			if leader := report.Stages[1].Cohorts[0]; *leader.Slowest != 0 {
				t.Errorf("acks=1 waited for a follower: %+v", leader)
			}
		})
	}
}

func lastText(c Cohort) string {
	var words []string
	for _, l := range c.Last {
		words = append(words, fmt.Sprintf("%s %d: %.0f%%", l.Role, orNone(l.Broker), 100*l.Share))
	}
	return strings.Join(words, ", ")
}
