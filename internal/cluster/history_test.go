package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestRandomHistories runs random commands, sensible and not, and checks the
// invariants M1 to M8 of [Apply] between every two images.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range uint64(40) {
		g := &generator{r: rand.New(rand.NewPCG(seed, run)), incarnation: 10}
		img := NewImage()
		for step := range 400 {
			cmd := g.next(img)
			next, _ := Apply(img, img.Index()+1+uint64(g.r.IntN(2)), cmd)
			if err := checkStep(img, next, cmd); err != nil {
				t.Fatalf("seed %d run %d step %d: after %T %+v: %v", seed, run, step, cmd, cmd, err)
			}
			img = next
		}
	}
}

// TestImagesNeverChange keeps every image of a history and compares its bytes
// at the end with what they were.
func TestImagesNeverChange(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := &generator{r: rand.New(rand.NewPCG(seed, 0)), incarnation: 10}
	img := NewImage()
	var images []*Image
	var encoded [][]byte
	for range 600 {
		images = append(images, img)
		encoded = append(encoded, mustEncodeImage(t, img))
		img, _ = Apply(img, img.Index()+1, g.next(img))
	}
	for i, old := range images {
		if got := mustEncodeImage(t, old); !bytes.Equal(got, encoded[i]) {
			t.Fatalf("seed %d: image %d changed afterwards\n got %s\nwant %s", seed, old.Index(), got, encoded[i])
		}
	}
}

// TestReplicasAgree applies one history on two brokers: one lives through it,
// the other reads every command from the log's bytes and restarts from a
// snapshot now and then.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := &generator{r: rand.New(rand.NewPCG(seed, 0)), incarnation: 10}
	a, b := NewImage(), NewImage()
	for step := range 1000 {
		cmd := g.next(a)
		entry, err := Encode(cmd)
		if err != nil {
			t.Fatalf("seed %d step %d: encode: %v", seed, step, err)
		}
		decoded, err := Decode(entry)
		if err != nil {
			t.Fatalf("seed %d step %d: decode %s: %v", seed, step, entry, err)
		}
		a, _ = Apply(a, uint64(step+1), cmd)
		b, _ = Apply(b, uint64(step+1), decoded)
		bytesA, bytesB := mustEncodeImage(t, a), mustEncodeImage(t, b)
		if !bytes.Equal(bytesA, bytesB) {
			t.Fatalf("seed %d step %d: images differ after %s\n%s\n%s", seed, step, entry, bytesA, bytesB)
		}
		if g.r.IntN(20) == 0 {
			if b, err = DecodeImage(bytesB); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
		}
	}
}

func mustEncodeImage(t *testing.T, img *Image) []byte {
	t.Helper()
	data, err := img.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkStep compares an image with the one before it.
func checkStep(older, newer *Image, cmd Command) error {
	for _, t := range newer.Topics() {
		was, existed := older.TopicByID(t.ID)
		for i, p := range t.Partitions {
			if err := checkPartition(newer, t, p); err != nil {
				return fmt.Errorf("partition %d: %w: %+v", i, err, *p)
			}
			if !existed {
				continue
			}
			if err := checkTransition(newer, was.Partitions[i], p, cmd); err != nil {
				return fmt.Errorf("partition %d: %w: %+v, was %+v", i, err, *p, *was.Partitions[i])
			}
		}
	}
	return nil
}

func checkPartition(img *Image, t *Topic, p *Partition) error {
	if (p.Leader == NoBroker) != (len(p.ISR) == 0) || (p.Leader != NoBroker && !p.InISR(p.Leader)) {
		return fmt.Errorf("M1: leader and isr")
	}
	for _, set := range [][]BrokerID{p.ISR, p.ELR} {
		if !isOrderedSubset(set, p.Replicas) {
			return fmt.Errorf("M2: %v is no ordered subset of the replicas", set)
		}
	}
	for _, id := range p.ISR {
		if p.InELR(id) {
			return fmt.Errorf("M2: broker %d is in isr and elr", id)
		}
		if b, ok := img.Broker(id); !ok || b.Fenced {
			return fmt.Errorf("M3: broker %d is fenced", id)
		} else if b.Draining && len(p.ISR) > 1 {
			return fmt.Errorf("M8: broker %d is draining", id)
		}
	}
	if len(p.ELR) > 0 && len(p.ISR) >= EffectiveMinISR(t, p) {
		return fmt.Errorf("M6: elr beside a full isr")
	}
	return nil
}

func checkTransition(img *Image, was, p *Partition, cmd Command) error {
	if p == was {
		return nil
	}
	same := slices.Equal(p.ISR, was.ISR) && slices.Equal(p.ELR, was.ELR) && p.LeaderEpoch == was.LeaderEpoch && p.Leader == was.Leader
	switch alter, isAlter := cmd.(AlterISR); {
	case !slices.Equal(p.Replicas, was.Replicas):
		return fmt.Errorf("replicas changed")
	case isAlter && len(alter.Changes) > 1:
		return nil // several changes of one partition: epochs grow by more
	case same && !isAlter:
		return fmt.Errorf("M5: a change that changes nothing")
	case removes(cmd, was, p):
		return fmt.Errorf("a failed replica is still electable")
	case p.PartitionEpoch != was.PartitionEpoch+1:
		return fmt.Errorf("M5: partition epoch")
	case failsReplicas(cmd) && p.LeaderEpoch != was.LeaderEpoch+1:
		return fmt.Errorf("M4: a replica is given up in the same leader epoch")
	case p.Leader == was.Leader && p.LeaderEpoch != was.LeaderEpoch && !failsReplicas(cmd):
		return fmt.Errorf("M4: leader epoch grew without a change of leader")
	case p.Leader != was.Leader && p.LeaderEpoch != was.LeaderEpoch+1:
		return fmt.Errorf("M4: leader epoch")
	case p.Leader == was.Leader || p.Leader == NoBroker:
		return nil
	}
	// The ISR that the choice was made from: what is left of the old one, or
	// what the leader proposed just before it handed over.
	if !was.InISR(p.Leader) && !was.InELR(p.Leader) {
		if _, proposed := cmd.(AlterISR); !proposed {
			return fmt.Errorf("M7: leader from outside isr and elr")
		}
	}
	if was.InELR(p.Leader) && slices.ContainsFunc(was.ISR, func(id BrokerID) bool {
		b, ok := img.Broker(id)
		return ok && b.Eligible() && id != loser(was, cmd)
	}) {
		if _, proposed := cmd.(AlterISR); !proposed {
			return fmt.Errorf("M7: leader from the elr beside an isr")
		}
	}
	return nil
}

func failsReplicas(cmd Command) bool {
	_, ok := cmd.(FailReplicas)
	return ok
}

// removes reports whether cmd says that a broker's log of this partition is
// damaged, and yet it is in the ISR or ELR.
func removes(cmd Command, was, p *Partition) bool {
	c, ok := cmd.(FailReplicas)
	return ok && p != was && (p.InISR(c.ID) || p.InELR(c.ID))
}

// loser is the broker that cmd may take out of the in-sync set although it is
// eligible.
func loser(was *Partition, cmd Command) BrokerID {
	switch c := cmd.(type) {
	case ElectLeaders:
		if c.Changes[0].Drop {
			return was.Leader
		}
		return NoBroker
	case FailReplicas:
		return c.ID
	case RegisterBroker:
		return c.Broker.ID
	default:
		return NoBroker
	}
}

func isOrderedSubset(set, replicas []BrokerID) bool {
	at := -1
	for _, id := range set {
		next := slices.Index(replicas, id)
		if next <= at {
			return false
		}
		at = next
	}
	return true
}

// generator makes commands that are mostly sensible for the image they are
// made for, and stale or broken now and then.
type generator struct {
	r           *rand.Rand
	incarnation byte
	topics      byte
}

const generatorBrokers = 4

func (g *generator) next(img *Image) Command {
	id := BrokerID(g.r.IntN(generatorBrokers))
	epoch := BrokerEpoch(0)
	if b, ok := img.Broker(id); ok {
		epoch = b.Epoch
	}
	if g.r.IntN(10) == 0 {
		epoch -= BrokerEpoch(g.r.IntN(3))
	}
	switch n := g.r.IntN(100); {
	case n < 10:
		return g.registration(img, id)
	case n < 22:
		return FenceBroker{ID: id, Epoch: epoch}
	case n < 45:
		return UnfenceBroker{ID: id, Epoch: epoch}
	case n < 48:
		return DrainBroker{ID: id, Epoch: epoch}
	case n < 50:
		return FailReplicas{ID: id, Epoch: epoch, Partitions: []TopicPartition{g.partition(img)}}
	case n < 55:
		return g.creation()
	case n < 56:
		return DeleteTopic{ID: g.partition(img).TopicID}
	case n < 60:
		return g.configs(img)
	case n < 90:
		return g.alterISR(img)
	case n < 98:
		return g.election(img)
	case n < 99:
		return InitCluster{ClusterID: fmt.Sprint("cluster ", g.r.IntN(2))}
	default:
		return AllocateProducerIDs{Broker: id, BrokerEpoch: epoch, Count: int32(g.r.IntN(2000) - 10)}
	}
}

func (g *generator) registration(img *Image, id BrokerID) Command {
	g.incarnation++
	c := RegisterBroker{Broker: Broker{ID: id, Incarnation: uuid(g.incarnation), Directory: uuid(byte(id))}}
	if b, ok := img.Broker(id); ok && g.r.IntN(4) == 0 {
		c.Broker.Incarnation = b.Incarnation
	}
	switch g.r.IntN(6) {
	case 0:
		c.Broker.Directory = uuid(100 + g.incarnation)
	case 1:
		c.FailedReplicas = []TopicPartition{g.partition(img)}
	case 2:
		c.Unclean = true
	}
	return c
}

func (g *generator) creation() Command {
	g.topics++
	c := CreateTopic{ID: uuid(g.topics), Name: fmt.Sprint("t", g.topics%5), Configs: g.someConfigs()}
	for range 1 + g.r.IntN(3) {
		var replicas []BrokerID
		for _, id := range g.r.Perm(generatorBrokers)[:1+g.r.IntN(generatorBrokers)] {
			replicas = append(replicas, BrokerID(id))
		}
		c.Assignment = append(c.Assignment, replicas)
	}
	if g.r.IntN(10) > 0 {
		for i := range c.Assignment {
			c.Assignment[i] = c.Assignment[0]
		}
	}
	return c
}

func (g *generator) someConfigs() map[string]string {
	all := []map[string]string{
		nil,
		{ConfigMinInsyncReplicas: "1"},
		{ConfigMinInsyncReplicas: "3", ConfigFlush: "async"},
		{ConfigFlush: "async"},
		{ConfigFlush: "sometimes"},
	}
	return all[g.r.IntN(len(all))]
}

func (g *generator) configs(img *Image) Command {
	c := SetTopicConfigs{Name: "none", Set: g.someConfigs(), Delete: []string{ConfigMinInsyncReplicas}}
	if t, ok := img.TopicByID(g.partition(img).TopicID); ok {
		c.Name = t.Name
	}
	return c
}

// partition picks any partition of the image.
func (g *generator) partition(img *Image) TopicPartition {
	topics := img.Topics()
	if len(topics) == 0 {
		return TopicPartition{}
	}
	t := topics[g.r.IntN(len(topics))]
	return t.TopicPartition(g.r.IntN(len(t.Partitions)))
}

func (g *generator) alterISR(img *Image) Command {
	tp := g.partition(img)
	_, p, ok := img.Partition(tp)
	if !ok {
		return AlterISR{Broker: 1, Changes: []ISRChange{{TP: tp}}}
	}
	c := AlterISR{Broker: p.Leader}
	if b, ok := img.Broker(p.Leader); ok {
		c.BrokerEpoch = b.Epoch
	}
	for range 1 + g.r.IntN(2) {
		change := ISRChange{TP: tp, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
		for _, i := range g.r.Perm(len(p.Replicas)) {
			id := p.Replicas[i]
			if b, ok := img.Broker(id); ok && (id == p.Leader || g.r.IntN(2) == 0) {
				change.ISR = append(change.ISR, ISRMember{ID: id, Epoch: b.Epoch - BrokerEpoch(g.r.IntN(10)/9)})
			}
		}
		switch g.r.IntN(12) {
		case 0:
			change.PartitionEpoch += PartitionEpoch(g.r.IntN(3) - 1)
		case 1:
			change.LeaderEpoch += Epoch(g.r.IntN(3) - 1)
		case 2:
			change.ISR = append(change.ISR, ISRMember{ID: BrokerID(g.r.IntN(generatorBrokers))})
		}
		c.Changes = append(c.Changes, change)
	}
	return c
}

func (g *generator) election(img *Image) Command {
	tp := g.partition(img)
	c := LeaderChange{TP: tp, Leader: BrokerID(g.r.IntN(generatorBrokers)), Drop: g.r.IntN(2) == 0}
	if _, p, ok := img.Partition(tp); ok {
		c.PartitionEpoch = p.PartitionEpoch - PartitionEpoch(g.r.IntN(8)/7)
	}
	return ElectLeaders{Changes: []LeaderChange{c}}
}
