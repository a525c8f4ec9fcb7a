package partition

import (
	"errors"
	"slices"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wal"
)

// chores are what is left to do on the disk for replicas that are out of
// service. RunStorage does them, so that roles never wait for the disk.
type chores struct {
	mu       sync.Mutex
	removals []removal  // guarded by mu
	damaged  []*Replica // guarded by mu
}

// removal is a replica that is gone, and where the write-ahead log says so: had
// its files gone before that was durable, a loss of power would make recovery
// take the replica for a damaged one.
type removal struct {
	r   *Replica
	lsn wal.LSN
}

func (c *chores) damage(r *Replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.damaged, r) {
		c.damaged = append(c.damaged, r)
	}
}

func (c *chores) takeDamaged() []*Replica {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.damaged
	c.damaged = nil
	return taken
}

func (c *chores) removed(m removal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals = append(c.removals, m)
}

// takeRemovals takes those that are due.
func (c *chores) takeRemovals(due func(removal) bool) []removal {
	c.mu.Lock()
	defer c.mu.Unlock()
	var taken, left []removal
	for _, m := range c.removals {
		if due(m) {
			taken = append(taken, m)
		} else {
			left = append(left, m)
		}
	}
	c.removals = left
	return taken
}

// finishRemovals deletes the files of replicas whose removal is durable.
func (t *Table) finishRemovals() {
	durable := t.o.WAL.Durable()
	for _, m := range t.chores.takeRemovals(func(m removal) bool { return m.lsn <= durable }) {
		t.deleteFiles(m.r)
	}
}

// finishRemovalOf deletes the files of a removed replica of the partition, if
// there are some: another one is placed here, and does not wait for the disk. A
// loss of power now makes recovery report it, which does no harm.
func (t *Table) finishRemovalOf(tp cluster.TopicPartition) {
	for _, m := range t.chores.takeRemovals(func(m removal) bool { return m.r.tp == tp }) {
		t.deleteFiles(m.r)
	}
}

func (t *Table) deleteFiles(r *Replica) {
	r.files.Lock()
	defer r.files.Unlock()
	err := t.unmarkFailed(r.tp) // alone, the marker would fail a replica that nobody knows
	if r.log != nil {
		err = errors.Join(err, r.log.Delete())
	}
	if err != nil {
		t.o.Logger.Error("removed a replica, but not all of its files", r.attrs("error", err)...)
	}
}
