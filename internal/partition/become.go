package partition

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/wal"
)

// Apply makes the local replicas what the image says, and is the only way that
// roles change by metadata. One goroutine calls it, with images in order. It
// may touch the disk (new and removed replicas), never a request path.
//
// A replica that cannot be opened is reported and stays failed; the others are
// not held up.
func (t *Table) Apply(img *cluster.Image) {
	t.applying.Lock()
	defer t.applying.Unlock()
	old, wasRegistered := t.image()
	if img.Index() <= old.Index() {
		return
	}
	self, ok := img.Broker(t.o.Self)
	registered := ok && self.Incarnation == t.o.Incarnation
	delta := cluster.Diff(old, img)
	changed := delta.Changed
	if registered && !wasRegistered {
		changed = img.Topics() // roles granted to an earlier run start to count, or not, now
		t.removeStrays(img)
	}
	for _, topic := range delta.Deleted {
		t.removeTopic(topic)
	}
	for _, topic := range changed {
		t.applyTopic(img, topic, registered)
	}
	if len(delta.Brokers) > 0 {
		for _, r := range t.Replicas() {
			r.refreshEligible(img)
		}
	}
	t.mu.Lock()
	next := t.applied.next
	t.applied = appliedImage{img: img, registered: registered, next: make(chan struct{})}
	t.mu.Unlock()
	close(next)
}

func (t *Table) applyTopic(img *cluster.Image, topic *cluster.Topic, registered bool) {
	for i, p := range topic.Partitions {
		tp := topic.TopicPartition(i)
		r, exists := t.Get(tp)
		if !p.HasReplica(t.o.Self) {
			if exists && registered {
				t.remove(r, ErrRemoved)
			}
			continue
		}
		if !exists {
			r = t.create(tp, topic.Name, topic.Config().SegmentBytes)
		}
		r.become(img, assigned(img, topic, p), registered)
	}
}

// assigned is what the image says of a partition.
func assigned(img *cluster.Image, topic *cluster.Topic, p *cluster.Partition) assignment {
	return assignment{
		topic: topic, part: p, config: topic.Config(), minISR: cluster.EffectiveMinISR(topic, p), index: img.Index(),
	}
}

// replicaDir is where a replica's files live.
func (t *Table) replicaDir(tp cluster.TopicPartition) string {
	return filepath.Join(t.topicsDir(), tp.TopicID.String(), strconv.Itoa(int(tp.Partition)))
}

func (t *Table) topicsDir() string { return filepath.Join(t.o.Dir, "topics") }

// create opens an empty log for a replica that was just placed here.
func (t *Table) create(tp cluster.TopicPartition, topic string, segmentBytes int64) *Replica {
	t.finishRemovalOf(tp)
	return t.insert(t.empty(tp, topic, segmentBytes))
}

// empty is a replica that holds nothing, and is not in the table yet.
func (t *Table) empty(tp cluster.TopicPartition, topic string, segmentBytes int64) *Replica {
	r := newReplica(t, tp)
	r.topic = topic
	log, err := segment.Open(segment.Options{FS: t.o.FS, Dir: t.replicaDir(tp), SegmentBytes: segmentBytes, Logger: t.o.Logger})
	if err != nil {
		t.o.Logger.Error("cannot create replica", append(r.attrs("dir", t.replicaDir(tp)), slog.Any("error", err))...)
		r.failed = fmt.Sprintf("cannot create its directory: %v", err)
	}
	r.log = log
	return r
}

// insert puts a replica into the table, in the place of one that was there.
func (t *Table) insert(r *Replica) *Replica {
	t.mu.Lock()
	t.replicas[r.tp] = r
	t.mu.Unlock()
	return r
}

// removeStrays removes replicas of topics that were deleted while this broker
// was down. Only a registered image is new enough to say so.
func (t *Table) removeStrays(img *cluster.Image) {
	for _, r := range t.Replicas() {
		if _, ok := img.TopicByID(r.tp.TopicID); !ok {
			t.remove(r, ErrRemoved)
		}
	}
}

func (t *Table) removeTopic(topic *cluster.Topic) {
	for i := range topic.Partitions {
		if r, ok := t.Get(topic.TopicPartition(i)); ok {
			t.remove(r, ErrRemoved)
		}
	}
}

// remove takes a replica out of service. Its files go once the removal is
// durable in the write-ahead log (see removal.go).
func (t *Table) remove(r *Replica, cause error) {
	r.transition.Lock()
	defer r.transition.Unlock()
	t.mu.Lock()
	delete(t.replicas, r.tp)
	t.mu.Unlock()

	r.mu.Lock()
	if r.lead != nil {
		r.lead.end()
		r.failWaiters(r.lead, cause, "the partition was removed from this broker")
		r.lead = nil
	}
	r.follow = followSession{}
	r.failed, r.removed = "removed", true
	r.generation++
	lsn, err := t.o.WAL.Append(wal.Entry{Kind: wal.KindDelete, TP: r.tp})
	r.wakeWatchers()
	r.mu.Unlock()
	if err != nil {
		t.o.Logger.Error("removed a replica, but not its files", r.attrs("error", err)...)
	} else {
		t.chores.removed(removal{r: r, lsn: lsn})
	}
	t.o.Wake(r.tp)
}

// become applies the partition's metadata.
func (r *Replica) become(img *cluster.Image, a assignment, registered bool) {
	r.transition.Lock()
	defer r.transition.Unlock()
	r.mu.Lock()
	if Outdated(a.part, r.meta.part) {
		r.mu.Unlock()
		return
	}
	if r.meta.part != nil && r.meta.part.LeaderEpoch == a.part.LeaderEpoch {
		a.index = r.meta.index
	}
	r.meta = a
	r.topic = a.topic.Name
	epoch := a.part.LeaderEpoch
	switch {
	case r.failed != "":
	case r.standing().MayLead(a.part, r.t.o.Self, registered):
		r.becomeLeader(img, epoch)
	default:
		r.becomeFollower(epoch)
	}
	if r.log != nil {
		r.log.SetSegmentBytes(a.config.SegmentBytes)
	}
	r.mu.Unlock()
	r.t.o.Wake(r.tp)
}

// becomeLeader starts or updates the leadership of epoch. REQUIRES: r.mu and
// r.transition are held.
func (r *Replica) becomeLeader(img *cluster.Image, epoch cluster.Epoch) {
	p, now := r.meta.part, r.now()
	if r.lead != nil && r.lead.epoch == epoch {
		below, before := r.lead.state.UnderMinISR(), r.lead.state.ISR()
		moved := r.lead.state.Committed(p.PartitionEpoch, p.ISR, r.meta.minISR, now)
		r.advance(moved, cluster.NoBroker)
		if after := r.lead.state.ISR(); !slices.Equal(before, after) {
			r.noteISRChange(before, after)
		}
		if !below && r.lead.state.UnderMinISR() {
			// Only acks=all is about the in-sync set (K25).
			r.lead.replicas.failAll(r.fail("acknowledge", ErrNotEnoughReplicasAfterAppend, r.missingReplicas(r.lead)))
		}
		r.advance(r.setEligible(img), cluster.NoBroker)
		return
	}
	r.stepDown("leads a newer epoch")
	r.follow = followSession{} // R3: before anything is appended in the new epoch
	r.maxSeenEpoch = epoch
	if err := r.log.AssignEpoch(epoch, r.log.EndOffset()); err != nil { // K4
		r.retire(fmt.Sprintf("start epoch %d: %v", epoch, err))
		return
	}
	term, end := context.WithCancel(context.Background())
	r.lead = &leadership{
		epoch: epoch, term: term, end: end,
		notes: map[cluster.BrokerID]linkNote{},
		state: isr.New(r.t.o.ISR, isr.Term{
			Self: r.t.o.Self, Epoch: epoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR,
			MinISR: r.meta.minISR, EndOffset: r.log.EndOffset(), DurableEnd: r.durableEnd, HighWatermark: r.highWatermark,
		}, now),
	}
	moved := r.setEligible(img)
	r.advance(r.lead.state.LocalSynced(r.durableEnd, now) || moved, cluster.NoBroker)
	r.wakeWatchers()
	r.t.o.Logger.Info("leading", r.attrs("epoch", int64(epoch))...)
}

// noteISRChange keeps what operators ask first: what changed, when and why.
// REQUIRES: r.mu is held and r leads.
func (r *Replica) noteISRChange(before, after []cluster.BrokerID) {
	why := r.lead.proposed
	if r.lead.proposed = ""; why == "" {
		why = "decided by the controller"
	}
	r.lead.changed = fmt.Sprintf("%s: %v -> %v: %s", r.now().UTC().Format(time.RFC3339Nano), before, after, why)
}

// becomeFollower notes that another broker leads epoch. REQUIRES: r.mu and
// r.transition are held.
func (r *Replica) becomeFollower(epoch cluster.Epoch) {
	endsLead, endsSession := r.standing().Follows(epoch)
	if endsLead {
		r.stepDown(fmt.Sprintf("broker %d leads epoch %d", r.meta.part.Leader, epoch))
	}
	if epoch <= r.maxSeenEpoch {
		return
	}
	r.maxSeenEpoch = epoch
	if endsSession {
		r.follow = followSession{}
	}
	r.wakeWatchers()
}

// stepDown ends a leadership: whoever waits is told who leads now. REQUIRES:
// r.mu is held.
func (r *Replica) stepDown(why string) {
	if r.lead == nil {
		return
	}
	lead := r.lead
	r.lead = nil
	lead.end()
	r.failWaiters(lead, ErrNotLeader, why)
	r.wakeWatchers()
	r.t.o.Logger.Info("stopped leading", append(r.attrs("epoch", int64(lead.epoch)), slog.String("why", why))...)
}

// refreshEligible tells the in-sync state which followers may be waited for.
func (r *Replica) refreshEligible(img *cluster.Image) {
	r.withLead(func(*leadership) bool { return r.setEligible(img) })
}

// setEligible: REQUIRES r.mu is held and r leads.
func (r *Replica) setEligible(img *cluster.Image) (moved bool) {
	for _, id := range r.meta.part.Replicas {
		b, ok := img.Broker(id)
		epoch := cluster.BrokerEpoch(0)
		if ok {
			epoch = b.Epoch
		}
		moved = r.lead.state.SetEligible(id, ok && b.Eligible(), epoch) || moved
	}
	return moved
}

// attrs are the log attributes that name this replica, plus one.
func (r *Replica) attrs(key string, value any) []any {
	return []any{slog.String("topic", r.topic), slog.String("partition", r.tp.String()), slog.Any(key, value)}
}
