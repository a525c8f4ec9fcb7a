package partition

import (
	"context"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// lose moves a partition's lead to the other broker, win takes it back.
func (l *life) lose() {
	led, _ := l.some()
	l.lead(led, 2)
}

func (l *life) win() {
	led, _ := l.some()
	l.lead(led, 1)
}

// lead makes a broker the leader of a partition. While this one leads it is
// alone in the in-sync set: nobody has to acknowledge for it.
func (l *life) lead(led *ledger, id cluster.BrokerID) {
	_, p, _ := l.img.Partition(led.tp)
	if p.Leader == id || p.Leader == cluster.NoBroker {
		return
	}
	l.inSync(led, 1, 2)
	_, p, _ = l.img.Partition(led.tp)
	l.commit(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: led.tp, PartitionEpoch: p.PartitionEpoch, Leader: id}}})
	if id == 1 {
		l.inSync(led, 1)
	}
}

func (l *life) inSync(led *ledger, ids ...cluster.BrokerID) {
	_, p, _ := l.img.Partition(led.tp)
	var isr []cluster.ISRMember
	for _, id := range ids {
		b, _ := l.img.Broker(id)
		isr = append(isr, cluster.ISRMember{ID: id, Epoch: b.Epoch})
	}
	b, _ := l.img.Broker(p.Leader)
	l.commit(cluster.AlterISR{Broker: p.Leader, BrokerEpoch: b.Epoch, Changes: []cluster.ISRChange{{
		TP: led.tp, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, ISR: isr,
	}}})
}

// place creates a topic: one partition more, up to five.
func (l *life) place() {
	if len(l.ledgers) >= 5 {
		return
	}
	configs := map[string]string{"min.insync.replicas": "1", "retention.bytes": "16000"}
	async := l.rng.IntN(4) == 0
	if async {
		configs["chronik.flush"] = "async"
	}
	id := cluster.UUID{9, byte(l.index >> 8), byte(l.index)}
	l.commit(cluster.CreateTopic{ID: id, Name: id.String(), Assignment: [][]cluster.BrokerID{{1, 2}}, Configs: configs})
	led := &ledger{tp: cluster.TopicPartition{TopicID: id}, async: async, states: []logState{{}}}
	l.ledgers = append(l.ledgers, led)
	l.lead(led, 1)
	l.inSync(led, 1)
}

// remove deletes a topic, unless it is the last.
func (l *life) remove() {
	if len(l.ledgers) < 2 {
		return
	}
	led, _ := l.some()
	l.commit(cluster.DeleteTopic{ID: led.tp.TopicID})
	led.change(l.log.End(), func(s *logState) { *s = logState{lsn: l.log.End(), gone: true} })
	l.settle()
	for i, other := range l.ledgers {
		if other == led {
			l.ledgers = append(l.ledgers[:i:i], l.ledgers[i+1:]...)
			l.removed = append(l.removed, led)
			return
		}
	}
}

// flush writes what is in memory to segment files.
func (l *life) flush() {
	l.table.checkpoint.at, l.table.checkpoint.last = time.Now(), l.log.End()
	l.patiently("flush", func() { l.gaveUp(l.table.flushAndCheckpoint(context.Background())) })
}

// checkpoint makes one.
func (l *life) checkpoint() {
	l.patiently("checkpoint", func() { l.gaveUp(l.table.makeCheckpoint(context.Background())) })
}

// tick lets the background work of the write-ahead log come due.
func (l *life) tick() {
	timer := time.NewTimer(2 * time.Second)
	<-timer.C
}

// retain applies retention by size.
func (l *life) retain() {
	l.table.retain()
	for _, led := range l.ledgers {
		r, ok := l.table.Get(led.tp)
		if !ok || r.log == nil {
			continue
		}
		s := led.last()
		s.start = max(s.start, r.log.StartOffset())
	}
}
