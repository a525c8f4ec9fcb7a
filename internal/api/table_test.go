package api

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

// forget takes the metadata away, as if the broker had only just started.
func (b *bed) forget() (restore func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	img := b.img
	b.img = cluster.NewImage()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.img = img
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// TestRequestsWaitForTheFirstMetadata asks a broker that has only just started
// and learns of the cluster a little later.
func TestRequestsWaitForTheFirstMetadata(t *testing.T) {
	t.Parallel()
	for _, a := range apis() {
		t.Run(kmsg.NameForKey(a.key), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				const joined = metadataTimeout / 2
				time.AfterFunc(joined, b.forget())
				start := time.Now()
				if _, err := b.begin(kmsg.RequestForKey(a.key), a.highest); err != nil {
					t.Fatal(err)
				}
				want := joined
				if a.blind {
					want = 0
				}
				if took := time.Since(start); took != want {
					t.Errorf("handled after %s, want %s", took, want)
				}
			})
		})
	}
}

// TestABrokerWithoutMetadataIsNoAuthority asks a broker that does not learn of
// the cluster: clients must go on asking, here or elsewhere.
func TestABrokerWithoutMetadataIsNoAuthority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		topic := b.topic("orders", nil, []cluster.BrokerID{1})
		b.forget()
		name := topic.Name
		start := time.Now()

		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		if got := ask[*kmsg.MetadataResponse](b, metadata, 12).Topics[0].ErrorCode; code(got) != codeLeaderNotAvailable {
			t.Errorf("metadata: code %d, want %d", got, codeLeaderNotAvailable)
		}

		fetch := kmsg.NewPtrFetchRequest()
		fetch.SessionEpoch = -1
		asked := kmsg.NewFetchRequestTopic()
		asked.Topic, asked.TopicID = name, topic.ID
		asked.Partitions = []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}
		fetch.Topics = []kmsg.FetchRequestTopic{asked}
		for _, version := range []int16{12, 13} {
			got := ask[*kmsg.FetchResponse](b, fetch, version).Topics[0].Partitions[0].ErrorCode
			if code(got) != codeNotLeaderOrFollower {
				t.Errorf("fetch v%d: code %d, want %d", version, got, codeNotLeaderOrFollower)
			}
		}

		list := kmsg.NewPtrListOffsetsRequest()
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{kmsg.NewListOffsetsRequestTopicPartition()}}}
		if got := ask[*kmsg.ListOffsetsResponse](b, list, 10).Topics[0].Partitions[0].ErrorCode; code(got) != codeNotLeaderOrFollower {
			t.Errorf("list offsets: code %d, want %d", got, codeNotLeaderOrFollower)
		}
		if took := time.Since(start); took != metadataTimeout {
			t.Errorf("answers took %s together, want %s", took, metadataTimeout)
		}
	})
}
