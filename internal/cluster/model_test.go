package cluster

import (
	"math/rand/v2"
	"testing"
	"time"
)

// model is the cluster side of the replication model that was checked against
// losses in millions of random schedules: one partition, three replicas,
// minimum two. Its functions are kept as short as there, to be compared by eye;
// sets are bits.
type model struct {
	leader, leaderEpoch int
	isr, elr            uint8
	fenced              [3]bool
}

func bit(i int) uint8 { return 1 << uint(i) }

func size(set uint8) (n int) {
	for ; set != 0; set &= set - 1 {
		n++
	}
	return n
}

func (m *model) elrRule(old uint8) {
	if size(m.isr) >= 2 {
		m.elr = 0
	} else {
		m.elr = (m.elr | old) &^ m.isr
	}
}

func (m *model) elect() {
	m.leaderEpoch++
	for i := range 3 {
		if m.isr&bit(i) != 0 && !m.fenced[i] {
			m.leader = i
			return
		}
	}
	for i := range 3 {
		if m.isr == 0 && m.elr&bit(i) != 0 && !m.fenced[i] {
			m.leader, m.isr = i, bit(i)
			m.elr &^= bit(i)
			return
		}
	}
	if m.leader == -1 {
		m.leaderEpoch-- // nobody is still nobody
	}
	m.leader = -1
}

func (m *model) fence(i int) {
	if m.fenced[i] {
		return
	}
	old := m.isr
	m.fenced[i] = true
	m.isr &^= bit(i)
	m.elrRule(old)
	if m.leader == i {
		m.elect()
		m.elrRule(0)
	}
}

func (m *model) register(i int, wiped bool) {
	m.fence(i)
	if wiped {
		m.elr &^= bit(i)
	}
}

func (m *model) unfence(i int) {
	m.fenced[i] = false
	if m.leader == -1 {
		m.elect()
		m.elrRule(0)
	}
}

func (m *model) alter(isr uint8) {
	old := m.isr
	m.isr = isr
	m.elrRule(old)
}

// TestAgreesWithTheModel drives Apply and the model with the same steps.
func TestAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, run))
		h := newHistory(t)
		h.start(3)
		h.topic(nil, 1, 2, 3)
		m := model{isr: 7}
		incarnation, directory := byte(10), byte(200)
		for step := range 200 {
			i := r.IntN(3)
			id := BrokerID(i + 1)
			switch n := r.IntN(10); {
			case n < 3:
				h.fence(id)
				m.fence(i)
			case n < 4:
				wiped := r.IntN(20) == 0
				b, _ := h.img.Broker(id)
				disk := b.Directory
				if wiped {
					directory++
					disk = uuid(directory)
				}
				incarnation++
				h.must(RegisterBroker{Broker: Broker{ID: id, Incarnation: UUID{2, incarnation, byte(step)}, Directory: disk}})
				m.register(i, wiped)
			case n < 7:
				h.unfence(id)
				m.unfence(i)
			default:
				stepISR(h, &m, uint8(r.IntN(8)))
			}
			p := h.partition()
			got := model{leader: int(p.Leader) - 1, leaderEpoch: int(p.LeaderEpoch), isr: set(p.ISR), elr: set(p.ELR), fenced: m.fenced}
			if p.Leader == NoBroker {
				got.leader = -1
			}
			if got != m {
				t.Fatalf("seed %d run %d step %d: got %+v, the model has %+v", seed, run, step, got, m)
			}
		}
	}
}

// stepISR lets the leader propose a set, if it is one that it may propose.
func stepISR(h *history, m *model, isr uint8) {
	if m.leader < 0 {
		return
	}
	isr |= bit(m.leader)
	var members []BrokerID
	for i := range 3 {
		if isr&bit(i) == 0 {
			continue
		}
		if m.fenced[i] {
			return
		}
		members = append(members, BrokerID(i+1))
	}
	h.must(h.isr(members...))
	m.alter(isr)
}

func set(ids []BrokerID) (bits uint8) {
	for _, id := range ids {
		bits |= bit(int(id) - 1)
	}
	return bits
}
