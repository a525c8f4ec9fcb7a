package testcluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

// roles are the brokers of one partition.
type roles struct {
	leader    cluster.BrokerID
	followers []cluster.BrokerID
}

// rolesWhere picks a partition by its roles and the controller. Until there is
// one, the controller is restarted, so that another broker is.
func (w *world) rolesWhere(ok func(r roles, controller cluster.BrokerID) bool) roles {
	w.t.Helper()
	for range 20 {
		detail := w.preferred()
		controller := w.controller()
		for _, p := range detail.Partitions.Sorted() {
			r := roles{leader: cluster.BrokerID(p.Leader)}
			for _, id := range p.ISR {
				if id != p.Leader {
					r.followers = append(r.followers, cluster.BrokerID(id))
				}
			}
			if ok(r, controller) {
				return r
			}
		}
		if err := w.stop(controller); err != nil {
			w.t.Fatal(err)
		}
		w.start(controller)
		w.ready(controller)
	}
	w.t.Fatal("the controller is never where it should be")
	return roles{}
}

// preferred waits until all replicas are in sync and the first of each partition
// leads it.
func (w *world) preferred() (detail kadm.TopicDetail) {
	w.t.Helper()
	w.await(rejoinLimit, "the preferred leaders", func(ctx context.Context) error {
		_, heard, err := w.metadata(ctx)
		if err != nil {
			return err
		}
		detail = heard
		for _, p := range detail.Partitions.Sorted() {
			if len(p.ISR) != 3 || p.Leader != p.Replicas[0] {
				return fmt.Errorf("partition %d: leader %d of %v, in sync %v", p.Partition, p.Leader, p.Replicas, p.ISR)
			}
		}
		return nil
	})
	return detail
}

func controllerApart(r roles, c cluster.BrokerID) bool {
	return c != r.leader && !slices.Contains(r.followers, c)
}

func controllerFollows(r roles, c cluster.BrokerID) bool { return slices.Contains(r.followers, c) }

// TestLeaderCutFromItsFollowers cuts a leader from its followers, and from nobody
// else: one of them leads soon, and the leadership does not go to and fro.
func TestLeaderCutFromItsFollowers(t *testing.T) {
	t.Parallel()
	bothWays := func(r roles) []link {
		return slices.Concat(both(r.leader, r.followers[0]), both(r.leader, r.followers[1]))
	}
	tests := []struct {
		name  string
		where func(r roles, controller cluster.BrokerID) bool
		cut   func(r roles) []link
		// stall bounds how long an acknowledgement waits, of all partitions: the
		// leader of one may be the follower of another.
		stall time.Duration
	}{
		{name: "both ways", stall: 4500 * time.Millisecond, where: controllerApart, cut: bothWays},
		{name: "it does not reach them", stall: 4500 * time.Millisecond, where: controllerApart, cut: func(r roles) []link {
			return []link{{r.leader, r.followers[0]}, {r.leader, r.followers[1]}}
		}},
		// Its data arrives, and its pings, until it gives the connections up for
		// want of answers.
		{name: "they do not reach it", stall: 9 * time.Second, where: controllerApart, cut: func(r roles) []link {
			return []link{{r.followers[0], r.leader}, {r.followers[1], r.leader}}
		}},
		// The controller does not hear it either, and fences it.
		{name: "the controller follows", stall: 8 * time.Second, where: controllerFollows, cut: bothWays},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, pickSeed(t), 5, func(w *world) {
				w.progress(5*time.Second, 20)
				r := w.rolesWhere(tt.where)
				w.load.forget()
				links := tt.cut(r)
				for _, l := range links {
					w.c.Cut(l.from, l.to)
				}
				w.progress(tt.stall+2*time.Second, 20)
				epochs := w.epochs()
				w.pass(30 * time.Second)
				worst := w.load.slowest()
				w.t.Logf("cut %v, controller %d: the slowest acknowledgement took %s", links, w.controller(), worst)
				if worst > tt.stall {
					w.t.Errorf("cut %v: an acknowledgement took %s, at most %s", links, worst, tt.stall)
				}
				if now := w.epochs(); !slices.Equal(now, epochs) {
					w.t.Errorf("leader epochs went from %v to %v while the cut lasted", epochs, now)
				}
				w.load.forget()
				for _, l := range links {
					w.c.Heal(l.from, l.to)
				}
				if _, err := w.eventuallyISR(rejoinLimit, 3); err != nil {
					w.t.Fatal(err)
				}
				w.progress(5*time.Second, 20)
				if worst := w.load.slowest(); worst > time.Second {
					w.t.Errorf("healed %v: an acknowledgement took %s", links, worst)
				}
			})
		})
	}
}

// epochs are the leader epochs of all partitions, as the broker says that has
// heard most: one that is cut off may not know the newest.
func (w *world) epochs() []int32 {
	client := w.client(kgo.RequestRetries(0))
	defer client.Close()
	newest := make([]int32, partitions)
	for _, id := range w.c.Brokers() {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		req := kmsg.NewPtrMetadataRequest()
		name := topic
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		resp, err := req.RequestWith(ctx, client.Broker(int(id)))
		cancel()
		if err != nil || len(resp.Topics) != 1 {
			continue
		}
		for _, p := range resp.Topics[0].Partitions {
			newest[p.Partition] = max(newest[p.Partition], p.LeaderEpoch)
		}
	}
	return newest
}
