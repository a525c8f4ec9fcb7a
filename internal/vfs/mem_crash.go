package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorBytes is what a disk writes as one: a write that power loss tears is
// torn between sectors, and each of them is old or new.
const sectorBytes = 512

// Loss says what survives a power loss besides all that was synced. The zero
// Loss keeps nothing else.
type Loss struct {
	// KeepBytes keeps the first unsynced bytes of file content, in the order
	// in which they were written; the write that crosses the limit is torn.
	// Unsynced names are lost.
	KeepBytes int64
	// Rand, if not nil, decides for every unsynced sector and truncation
	// whether it survived, and for every directory how many of its unsynced
	// changes did. It takes the place of KeepBytes.
	Rand *rand.Rand
}

// Crash returns the file system as it is found after a power loss at this
// moment. Open files and locks are not carried over, and what still runs on
// the old file system does not touch the new one.
func (m *Mem) Crash(loss Loss) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := crash{loss: loss, nodes: map[*memNode]*memNode{}}
	if loss.Rand == nil {
		c.lastOrder, c.lastBytes = m.keep(loss.KeepBytes)
	}
	after := NewMem()
	after.root = c.survivor(m.root)
	after.room = memRoom - after.root.bytes()
	return after
}

// UnsyncedBytes counts the file content that a power loss would now take, so
// that a test can try every [Loss.KeepBytes] below it.
func (m *Mem) UnsyncedBytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := int64(0)
	for _, c := range m.unsynced() {
		total += int64(len(c.data))
	}
	return total
}

// unsynced lists the unsynced changes of all files in order. REQUIRES: m.mu
// is held.
func (m *Mem) unsynced() []dataChange {
	var all []dataChange
	seen := map[*memNode]bool{}
	var visit func(n *memNode)
	visit = func(n *memNode) {
		if seen[n] {
			return
		}
		seen[n] = true
		all = append(all, n.writes...)
		for _, names := range []map[string]*memNode{n.entries, n.synced} {
			for _, child := range names {
				visit(child)
			}
		}
	}
	visit(m.root)
	slices.SortFunc(all, func(a, b dataChange) int { return int(a.order - b.order) })
	return all
}

// keep finds the change that is torn if so many unsynced bytes survive, and
// how many of its own bytes do. REQUIRES: m.mu is held.
func (m *Mem) keep(budget int64) (order, bytes int64) {
	for _, c := range m.unsynced() {
		order = c.order
		if budget <= int64(len(c.data)) {
			return order, budget
		}
		budget -= int64(len(c.data))
	}
	return order, budget
}

// crash builds the surviving tree.
type crash struct {
	loss      Loss
	nodes     map[*memNode]*memNode
	lastOrder int64
	lastBytes int64
}

func (c *crash) survivor(n *memNode) *memNode {
	if done := c.nodes[n]; done != nil {
		return done
	}
	if !n.isDir() {
		content := c.content(n)
		after := &memNode{data: content, durable: slices.Clone(content)}
		c.nodes[n] = after
		return after
	}
	after := newMemDir()
	c.nodes[n] = after
	names := c.names(n)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child := c.survivor(names[name])
		after.entries[name], after.synced[name] = child, child
	}
	return after
}

// names are the entries of a directory that survive: a directory's changes
// reach the disk in order, but perhaps not all of them.
func (c *crash) names(n *memNode) map[string]*memNode {
	names := maps.Clone(n.synced)
	if c.loss.Rand == nil {
		return names
	}
	for _, change := range n.renames[:c.loss.Rand.IntN(len(n.renames)+1)] {
		change.apply(names)
	}
	return names
}

// content is what survives of a file.
func (c *crash) content(n *memNode) []byte {
	content := slices.Clone(n.durable)
	for _, w := range n.writes {
		if c.loss.Rand != nil {
			content = c.randomly(w, content)
			continue
		}
		switch {
		case w.order < c.lastOrder:
			content = w.apply(content)
		case w.order == c.lastOrder && w.data != nil && c.lastBytes > 0:
			w.data = w.data[:min(c.lastBytes, int64(len(w.data)))]
			content = w.apply(content)
		}
	}
	return content
}

// randomly applies a random part of an unsynced change.
func (c *crash) randomly(w dataChange, content []byte) []byte {
	if w.data == nil {
		if c.loss.Rand.IntN(2) == 0 {
			return content
		}
		return w.apply(content)
	}
	// A third of the writes is lost and a third kept, the rest torn: with
	// nothing but coin flips, whole writes would hardly ever survive.
	fate := c.loss.Rand.IntN(3)
	for off := int64(0); off < int64(len(w.data)); {
		end := min(off+sectorBytes-(w.off+off)%sectorBytes, int64(len(w.data)))
		if fate == 1 || fate == 2 && c.loss.Rand.IntN(2) == 0 {
			content = dataChange{off: w.off + off, data: w.data[off:end]}.apply(content)
		}
		off = end
	}
	return content
}
