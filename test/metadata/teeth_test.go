package metadata

import (
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// never is the return of an operation whose outcome nobody knows.
const never = math.MaxInt64

// op is one operation of a history in a test.
func op(begin, end int64, c call, a answer) porcupine.Operation {
	c.Topic = "t"
	return porcupine.Operation{Call: begin, Return: end, Input: c, Output: a}
}

// wrote is a write that succeeded, in both halves.
func wrote(begin, end int64, c call, a answer) []porcupine.Operation {
	second := c
	second.Kind = acked
	return []porcupine.Operation{op(begin, end, c, a), op(begin, end, second, a)}
}

// TestTheModelBites gives the model histories that a cluster may have, and
// such as must not be: a model that takes them all proves nothing.
func TestTheModelBites(t *testing.T) {
	t.Parallel()
	one, two := answer{Present: true, ID: "1", Tag: "a"}, answer{Present: true, ID: "2", Tag: "b"}
	created := wrote(1, 2, call{Kind: create, Broker: 0, Tag: "a"}, one)
	deleted := wrote(3, 4, call{Kind: remove, Broker: 0, ID: "1"}, one)
	again := wrote(5, 6, call{Kind: create, Broker: 1, Tag: "b"}, two)
	none := answer{}
	tests := []struct {
		name string
		more []porcupine.Operation
		ok   bool
	}{
		{name: "three writes", ok: true},
		{name: "another broker lags", more: []porcupine.Operation{op(7, 8, call{Kind: read, Broker: 2}, one)}, ok: true},
		{name: "and catches up", more: []porcupine.Operation{
			op(7, 8, call{Kind: read, Broker: 2}, one), op(9, 10, call{Kind: read, Broker: 2}, none), op(11, 12, call{Kind: read, Broker: 2}, two),
		}, ok: true},
		{name: "stale read on the broker that acknowledged", more: []porcupine.Operation{op(7, 8, call{Kind: read, Broker: 1}, none)}},
		{name: "a broker goes back", more: []porcupine.Operation{
			op(7, 8, call{Kind: read, Broker: 2}, two), op(9, 10, call{Kind: read, Broker: 2}, one),
		}},
		{name: "read from the future", more: []porcupine.Operation{op(3, 4, call{Kind: read, Broker: 2}, two)}},
		{name: "lost create", more: []porcupine.Operation{op(7, 8, call{Kind: read, Broker: 1}, one)}},
		{name: "created although it is there", more: wrote(7, 8, call{Kind: create, Broker: 2, Tag: "c"}, answer{Present: true, ID: "3", Tag: "c"})},
		{name: "deleted although it never was", more: wrote(7, 8, call{Kind: remove, Broker: 2, ID: "9"}, answer{Present: true, ID: "9"})},
		{name: "deleted twice", more: wrote(7, 8, call{Kind: remove, Broker: 2, ID: "1"}, answer{Present: true, ID: "1"}), ok: true},
		{name: "lost delete", more: append(wrote(7, 8, call{Kind: remove, Broker: 2, ID: "2"}, two), op(9, 10, call{Kind: read, Broker: 2}, two))},
		{name: "refused, as it is there", more: []porcupine.Operation{op(7, 8, call{Kind: refused, Broker: 1}, answer{Present: true})}, ok: true},
		{name: "refused, although it is not there", more: append(
			wrote(7, 8, call{Kind: remove, Broker: 1, ID: "2"}, two), op(9, 10, call{Kind: refused, Broker: 1}, answer{Present: true}),
		)},
		{name: "a topic that nobody created", more: []porcupine.Operation{op(7, 8, call{Kind: read, Broker: 2}, answer{Present: true, ID: "9"})}},
		{name: "another configuration", more: []porcupine.Operation{op(7, 8, call{Kind: read, Broker: 2}, answer{Present: true, Tag: "x"})}},
		{name: "created after an unknown delete", more: append(
			wrote(9, 10, call{Kind: create, Broker: 2, Tag: "c"}, answer{Present: true, ID: "3", Tag: "c"}),
			op(7, never, call{Kind: remove, Broker: 1}, answer{Unknown: true}),
		), ok: true},
		{name: "the same without it", more: wrote(9, 10, call{Kind: create, Broker: 2, Tag: "c"}, answer{Present: true, ID: "3", Tag: "c"})},
		{name: "an unknown create becomes known", more: append(
			wrote(7, 8, call{Kind: remove, Broker: 1, ID: "2"}, two),
			op(9, never, call{Kind: create, Broker: 1, Tag: "d"}, answer{Unknown: true}),
			op(11, 12, call{Kind: read, Broker: 0}, answer{Present: true, ID: "4"}), op(13, 14, call{Kind: read, Broker: 0}, answer{Present: true, Tag: "d"}),
		), ok: true},
		{name: "one unknown create, two topics", more: append(
			wrote(7, 8, call{Kind: remove, Broker: 1, ID: "2"}, two),
			op(9, never, call{Kind: create, Broker: 1, Tag: "d"}, answer{Unknown: true}),
			op(11, 12, call{Kind: read, Broker: 0}, answer{Present: true, ID: "4"}), op(13, 14, call{Kind: read, Broker: 0}, answer{Present: true, ID: "5"}),
		)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			for _, part := range [][]porcupine.Operation{created, deleted, again, tt.more} {
				history = append(history, part...)
			}
			got := porcupine.CheckOperationsTimeout(model(), history, 10*time.Second)
			if want := map[bool]porcupine.CheckResult{true: porcupine.Ok, false: porcupine.Illegal}[tt.ok]; got != want {
				t.Errorf("the history is %v, want %v", got, want)
			}
		})
	}
}
