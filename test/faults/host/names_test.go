//go:build linux

package host

import (
	"net/netip"
	"testing"
)

func TestAnswerRefusesWhatIsNoQuestion(t *testing.T) {
	t.Parallel()
	nobody := func(string) (netip.Addr, bool) { return netip.Addr{}, false }
	header := []byte{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for name, query := range map[string][]byte{
		"empty":               nil,
		"no question":         {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"no name":             header,
		"name cut short":      append(append([]byte{}, header...), 5, 'a', 'b'),
		"no type":             append(append([]byte{}, header...), 1, 'a', 0, 0),
		"pointer in the name": append(append([]byte{}, header...), 0xc0, 12, 0, 0, 1, 0, 1),
	} {
		if reply, ok := answer(query, nobody); ok {
			t.Errorf("%s: answer %x", name, reply)
		}
	}
}
