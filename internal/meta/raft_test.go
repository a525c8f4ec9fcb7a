package meta

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestOneVoterLeadsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 1, nil)
		defer q.close()
		start := time.Now()
		q.start(1)
		m := q.leader(1)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("a leader after %s, want at most 100ms", took)
		}
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		if m.ClusterID() != "c" {
			t.Errorf("cluster id %q, want c", m.ClusterID())
		}
	})
}

func TestThreeVoters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, nil)
		defer q.close()
		start := time.Now()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		t.Logf("leader %d after %s", m.id, time.Since(start))
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		register(t, m, 7)
		for _, other := range q.members {
			sees(t, other, "broker 7", hasBroker(7))
		}
	})
}
