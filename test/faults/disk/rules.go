package disk

import (
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Op is a kind of operation on a [Faulty] disk.
type Op string

// The kinds of operations. Those from OpCreate on change something.
const (
	OpOpen     Op = "open" // of a file that exists
	OpRead     Op = "read"
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpSync     Op = "sync" // fsync and fdatasync of a file
	OpTruncate Op = "truncate"
	OpAllocate Op = "allocate"
	OpRename   Op = "rename" // known by the new name
	OpRemove   Op = "remove" // of a file or a directory
	OpMkdir    Op = "mkdir"
	OpSyncDir  Op = "sync directory"

	// OpChange stands for all that change something, in a rule and in a count.
	OpChange Op = "change"
)

func (o Op) changes() bool { return o != OpOpen && o != OpRead }

// Rule makes operations fail. The zero value of a field matches everything, or
// does nothing. A rule that does nothing counts: its injection's Hits.
type Rule struct {
	// Op is the kind of operation.
	Op Op
	// Path is a pattern of path.Match for the file's path below Dir, for its
	// last element or for a directory above it: "wal" is everything in the
	// write-ahead log, "*.log" all segments.
	Path string
	// Skip lets so many matching operations pass first.
	Skip int
	// Times is how many of them are hit after that. The default is all.
	Times int

	// Delay comes before everything else.
	Delay time.Duration
	// Hang lets the operation wait until the injection is removed, the disk is
	// unmounted, or the process that waits gets a signal.
	Hang bool
	// PowerCut cuts the power instead of the operation: [Faulty.PowerCut].
	PowerCut bool
	// Err is what the operation returns, undone.
	Err syscall.Errno
	// Keep is how much of a write is done, in bytes, half of it if negative:
	// before Err or PowerCut, a torn write; without them, a short one.
	Keep int
	// Flip flips a bit in the middle of what is read.
	Flip bool
}

// acts tells whether the rule does more than count.
func (r *Rule) acts() bool {
	return r.Delay > 0 || r.Hang || r.PowerCut || r.Err != 0 || r.Keep != 0 || r.Flip
}

// kept is how many of a write's bytes reach the file.
func (r *Rule) kept(n int) int {
	if r.Keep < 0 {
		return n / 2
	}
	return min(r.Keep, n)
}

func (r *Rule) matches(op Op, name string) bool {
	if r.Op != "" && r.Op != op && (r.Op != OpChange || !op.changes()) {
		return false
	}
	if r.Path == "" || matchPath(r.Path, path.Base(name)) {
		return true
	}
	for ; name != "." && name != "/"; name = path.Dir(name) {
		if matchPath(r.Path, name) {
			return true
		}
	}
	return false
}

// matchPath takes a malformed pattern, which Inject has refused, for none.
func matchPath(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Injection is a rule at work. Its methods are safe for concurrent use.
type Injection struct {
	rule  Rule
	rules *rules

	seen int // guarded by rules.mu
	hits int // guarded by rules.mu

	hit     chan struct{} // closed at the first hit
	removed chan struct{}
}

// Hit is closed when the rule has hit an operation.
func (i *Injection) Hit() <-chan struct{} { return i.hit }

// Hits is how many operations the rule has hit.
func (i *Injection) Hits() int {
	i.rules.mu.Lock()
	defer i.rules.mu.Unlock()
	return i.hits
}

// Remove ends the rule and lets operations go on that hang because of it.
func (i *Injection) Remove() { i.rules.remove(func(other *Injection) bool { return other == i }) }

// rules are the injections of a disk and its counters.
type rules struct {
	mu     sync.Mutex
	active []*Injection // guarded by mu
	counts map[Op]int64 // guarded by mu
}

func (r *rules) inject(rule Rule) (*Injection, error) {
	if _, err := path.Match(rule.Path, ""); err != nil {
		return nil, err
	}
	rule.Path = strings.TrimSuffix(rule.Path, "/")
	i := &Injection{rule: rule, rules: r, hit: make(chan struct{}), removed: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = append(r.active, i)
	return i, nil
}

func (r *rules) remove(which func(*Injection) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []*Injection
	for _, i := range r.active {
		if which(i) {
			close(i.removed)
		} else {
			rest = append(rest, i)
		}
	}
	r.active = rest
}

// match counts an operation and returns the injection that it is hit by, or
// nil. The first one that does something decides.
func (r *rules) match(op Op, name string) *Injection {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Op]int64{}
	}
	r.counts[op]++
	if op.changes() {
		r.counts[OpChange]++
	}
	for _, i := range r.active {
		if !i.rule.matches(op, name) {
			continue
		}
		i.seen++
		if i.seen <= i.rule.Skip || i.rule.Times > 0 && i.hits >= i.rule.Times {
			continue
		}
		if i.hits++; i.hits == 1 {
			close(i.hit)
		}
		if i.rule.acts() {
			return i
		}
	}
	return nil
}

func (r *rules) count(op Op) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[op]
}
