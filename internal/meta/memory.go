package meta

import (
	"context"
	"fmt"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Memory is a metadata log within one process, for tests: proposals are applied
// at once, to all members. It has the methods of [Raft] that others use.
type Memory struct {
	self  cluster.BrokerID
	board *board
	log   *memoryLog
}

// memoryLog is what the members of a Memory share.
type memoryLog struct {
	mu      sync.Mutex
	members []*Memory                                   // guarded by mu
	leader  cluster.BrokerID                            // guarded by mu
	term    uint64                                      // guarded by mu
	fault   func(cluster.Command) (apply bool, _ error) // guarded by mu
}

// NewMemory returns a log of which self is the only member and the leader.
func NewMemory(self cluster.BrokerID) *Memory {
	log := &memoryLog{leader: cluster.NoBroker}
	m := log.join(self, cluster.NewImage())
	m.Elect(self)
	return m
}

// Member returns another broker's view of the same log.
func (m *Memory) Member(id cluster.BrokerID) *Memory { return m.log.join(id, m.Image()) }

func (l *memoryLog) join(id cluster.BrokerID, img *cluster.Image) *Memory {
	m := &Memory{self: id, board: newBoard(), log: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members = append(l.members, m)
	m.board.setImage(img)
	m.board.setLeadership(Leadership{Leader: l.leader, Self: l.leader == id, Term: l.term})
	return m
}

// Elect makes a member the leader, in a new term; NoBroker deposes the leader.
func (m *Memory) Elect(id cluster.BrokerID) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	m.log.leader = id
	m.log.term++
	for _, member := range m.log.members {
		member.board.setLeadership(Leadership{Leader: id, Self: id == member.self, Term: m.log.term})
	}
}

// SetFault makes every later proposal ask fault whether it is applied and which
// error, if any, is returned in place of the result. Nil ends that. Fault must
// not call the Memory.
func (m *Memory) SetFault(fault func(cmd cluster.Command) (apply bool, err error)) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	m.log.fault = fault
}

// Image is the latest image.
func (m *Memory) Image() *cluster.Image { return m.board.image() }

// Watch returns the latest image and a channel that is closed when it is not
// the latest any more.
func (m *Memory) Watch() (*cluster.Image, <-chan struct{}) { return m.board.watch() }

// Leadership returns who leads and a channel that is closed when that changes.
func (m *Memory) Leadership() (Leadership, <-chan struct{}) { return m.board.leadership() }

// Leader is the broker that leads.
func (m *Memory) Leader() cluster.BrokerID {
	lead, _ := m.board.leadership()
	return lead.Leader
}

// AppliedIndex is the index of the latest image.
func (m *Memory) AppliedIndex() uint64 { return m.Image().Index() }

// Barrier succeeds on the leader: everything is applied already.
func (m *Memory) Barrier(ctx context.Context) error {
	if lead, _ := m.board.leadership(); !lead.Self {
		return ErrNotLeader
	}
	return ctx.Err()
}

// Propose applies a command, if this member leads. The command crosses the
// log's encoding, as it does in [Raft].
func (m *Memory) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	if err := ctx.Err(); err != nil {
		return cluster.Result{}, err
	}
	data, err := cluster.Encode(cmd)
	if err != nil {
		return cluster.Result{}, err
	}
	if cmd, err = cluster.Decode(data); err != nil {
		return cluster.Result{}, err
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if m.log.leader != m.self {
		return cluster.Result{}, fmt.Errorf("propose %T: %w", cmd, ErrNotLeader)
	}
	apply := true
	if m.log.fault != nil {
		apply, err = m.log.fault(cmd)
	}
	if !apply {
		return cluster.Result{}, err
	}
	img, res := cluster.Apply(m.Image(), m.Image().Index()+1, cmd)
	for _, member := range m.log.members {
		member.board.setImage(img)
	}
	if err != nil {
		return cluster.Result{}, err
	}
	return res, nil
}
