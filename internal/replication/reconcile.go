package replication

import (
	"maps"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
)

// reconciler makes links and sessions what an image says. It is owned by
// [Manager.Run].
type reconciler struct {
	m     *Manager
	seen  *cluster.Image // the last image that was acted on
	start func(*link)
	added []*stream // to attach once wakes can find them
}

// apply acts on what differs between img and the last image. Which partitions
// are led here is the replicas' word, not the image's: they know which
// registration it was granted under (R1) and which epochs they have seen (R2).
func (r *reconciler) apply(img *cluster.Image) {
	delta := cluster.Diff(r.seen, img)
	r.seen = img
	changed := delta.Changed
	if slices.Contains(delta.Brokers, r.m.o.Self) {
		changed = img.Topics() // leaderships of an earlier run may count now, or no longer
	}
	ledBy := maps.Clone(*r.m.ledBy.Load())
	for _, topic := range delta.Deleted {
		r.topic(ledBy, topic)
	}
	for _, topic := range changed {
		r.topic(ledBy, topic)
	}
	// What is appended from here on wakes the new streams; what was appended
	// before, they find when they open.
	r.m.ledBy.Store(&ledBy)
	for _, s := range r.added {
		s.link.add(s)
	}
	r.added = nil
	r.locate(img, delta.Brokers)
}

// locate passes on where the changed brokers are now.
func (r *reconciler) locate(img *cluster.Image, brokers []cluster.BrokerID) {
	for _, id := range brokers {
		if b, ok := img.Broker(id); ok && id != r.m.o.Self {
			r.m.link(id, r.start).locate(b.Peer, b.Incarnation)
		}
	}
}

func (r *reconciler) topic(ledBy map[cluster.TopicPartition]*led, topic *cluster.Topic) {
	for i := range topic.Partitions {
		tp := cluster.TopicPartition{TopicID: topic.ID, Partition: int32(i)}
		if next := r.partition(tp, ledBy[tp]); next != nil {
			ledBy[tp] = next
		} else {
			delete(ledBy, tp)
		}
	}
}

// partition returns what takes the place of was: was itself when nothing
// changed, nil when the partition is not led here.
func (r *reconciler) partition(tp cluster.TopicPartition, was *led) *led {
	replica, ok := r.m.replicas.Replica(tp)
	if !ok {
		r.drop(was, nil, "this broker no longer has the partition")
		return nil
	}
	lead, ok := replica.Lead()
	if !ok {
		r.drop(was, nil, "this broker no longer leads the partition")
		return nil
	}
	next := &led{replica: replica, epoch: lead.Epoch}
	next.wokenEnd.Store(lead.LogEnd)
	for _, id := range lead.Followers {
		next.streams = append(next.streams, r.stream(id, tp, next, was))
	}
	if was != nil && slices.Equal(was.streams, next.streams) {
		return was
	}
	r.drop(was, next.streams, "the leader epoch or the replicas changed")
	for _, s := range next.streams {
		if was == nil || !slices.Contains(was.streams, s) {
			r.added = append(r.added, s)
		}
	}
	return next
}

// stream returns the stream of a follower: the one it has, as long as the epoch
// lasts, or a new one.
func (r *reconciler) stream(id cluster.BrokerID, tp cluster.TopicPartition, next, was *led) *stream {
	if was != nil && was.epoch == next.epoch && was.replica == next.replica {
		for _, s := range was.streams {
			if s.link.peer == id {
				return s
			}
		}
	}
	s := &stream{link: r.m.link(id, r.start), replica: next.replica}
	s.session.tp, s.session.epoch = tp, next.epoch
	return s
}

// drop ends the streams of was that are not kept.
func (r *reconciler) drop(was *led, kept []*stream, reason string) {
	if was == nil {
		return
	}
	for _, s := range was.streams {
		if !slices.Contains(kept, s) {
			s.link.remove(s, reason)
		}
	}
}
