package metadata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// kind is what an operation asks a broker.
type kind string

const (
	create kind = "create"
	remove kind = "delete"
	// acked is the second half of a write that succeeded: whoever asks the same
	// broker from then on sees it there.
	acked kind = "acked"
	// read is a read of the configuration, or of the topic's id.
	read kind = "read"
	// refused is a write that failed because of what is there, or is not.
	refused kind = "refused"
)

// call is what an operation asks. Each creation carries a tag of its own, as
// a configuration of the topic.
type call struct {
	Kind   kind
	Topic  string
	Broker int
	Tag    string // of the topic to create
	ID     string // of the topic to delete; empty is whichever has the name
}

// answer is what came back. Nothing is known of the outcome where Unknown is
// set: the operation may take effect at any time after its call, or never.
type answer struct {
	Unknown bool
	Present bool
	Tag     string // as far as the answer has it
	ID      string // as far as the answer has it
}

// version is what a name stands for between two writes.
type version struct {
	present bool
	tag, id string // id is empty until somebody was told
}

// image is the state of one name: every version there ever was, and how far
// each broker is known to be. What a broker shows is never older than that.
type image struct {
	versions []version
	seen     [brokers]int
}

func (m image) last() version { return m.versions[len(m.versions)-1] }

// at returns a copy in which a broker has come to version i at least.
func (m image) at(broker, i int) image {
	m.seen[broker] = max(m.seen[broker], i)
	return m
}

// with returns a copy with one more version.
func (m image) with(v version) image {
	m.versions = append(slices.Clip(m.versions), v)
	return m
}

// named returns a copy in which version i has an id.
func (m image) named(i int, id string) image {
	m.versions = slices.Clone(m.versions)
	m.versions[i].id = id
	return m
}

// step returns every state that may follow an operation. Writes act on the
// newest version, reads show any version that is not older than what the broker
// has shown before: of several that fit the oldest allows most, so that it
// stands for all.
func (m image) step(c call, a answer) []image {
	switch c.Kind {
	case create:
		return m.create(c, a)
	case remove:
		return m.remove(c, a)
	case acked:
		i := m.find(0, a)
		if i < 0 {
			return nil // the write itself comes first
		}
		if c.Tag == "" {
			i++ // it is the deletion that was acknowledged
			if i >= len(m.versions) {
				return nil
			}
		}
		return []image{m.at(c.Broker, i)}
	case refused:
		if m.find(m.seen[c.Broker], a) < 0 {
			return nil
		}
		return []image{m} // the controller may know more than the broker
	default:
		return m.read(c, a)
	}
}

func (m image) create(c call, a answer) []image {
	switch {
	case !m.last().present:
		return []image{m.with(version{present: true, tag: c.Tag, id: a.ID})}
	case a.Unknown:
		return []image{m}
	default:
		return nil
	}
}

// remove may succeed a second time: who repeats a deletion because nobody
// answered is told that it is done.
func (m image) remove(c call, a answer) []image {
	id := c.ID
	if !a.Unknown {
		id = a.ID
	}
	gone := slices.ContainsFunc(m.versions[:len(m.versions)-1], func(v version) bool { return v.id == id })
	switch last := m.last(); {
	case last.present && (id == "" || last.id == id):
		return []image{m.with(version{})}
	case last.present && last.id == "":
		return []image{m.named(len(m.versions)-1, id).with(version{})}
	case a.Unknown || gone:
		return []image{m}
	default:
		return nil
	}
}

// read may be the first to tell the id of a topic whose creation nobody
// answered: it may be any of those.
func (m image) read(c call, a answer) []image {
	from := m.seen[c.Broker]
	if i := m.find(from, a); i >= 0 {
		return []image{m.at(c.Broker, i)}
	}
	if a.ID == "" || slices.ContainsFunc(m.versions, func(v version) bool { return v.id == a.ID }) {
		return nil
	}
	var next []image
	for i := from; i < len(m.versions); i++ {
		if v := m.versions[i]; v.present && v.id == "" && (a.Tag == "" || a.Tag == v.tag) {
			next = append(next, m.named(i, a.ID).at(c.Broker, i))
		}
	}
	return next
}

// find returns the first version from an index on that an answer may show, or
// -1. What the answer does not say does not matter.
func (m image) find(from int, a answer) int {
	for i := from; i < len(m.versions); i++ {
		v := m.versions[i]
		if v.present == a.Present && (a.Tag == "" || a.Tag == v.tag) && (a.ID == "" || a.ID == v.id) {
			return i
		}
	}
	return -1
}

func (m image) String() string {
	var b strings.Builder
	for _, v := range m.versions {
		fmt.Fprintf(&b, "%v/%s/%s ", v.present, v.tag, v.id)
	}
	return fmt.Sprint(b.String(), m.seen)
}

// model judges the operations of one name at a time: names do not depend on each
// other.
func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			names := map[string][]porcupine.Operation{}
			for _, op := range history {
				topic := op.Input.(call).Topic
				names[topic] = append(names[topic], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range names {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() []any { return []any{image{versions: []version{{}}}} },
		Step: func(state, input, output any) []any {
			var next []any
			for _, m := range state.(image).step(input.(call), output.(answer)) {
				next = append(next, m)
			}
			return next
		},
		Equal: func(a, b any) bool {
			x, y := a.(image), b.(image)
			return x.seen == y.seen && slices.Equal(x.versions, y.versions)
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
	return m.ToModel()
}
