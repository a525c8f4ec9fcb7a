package peer

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestDialErrorsNameTheAddressOnce: the system's error names it as well.
func TestDialErrorsNameTheAddressOnce(t *testing.T) {
	t.Parallel()
	network := NewOSNetwork()
	l, err := network.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = Dial(t.Context(), DialOptions{Network: network, Addr: addr, Hello: Hello{From: 1, To: 2, Incarnation: cluster.UUID{1}}})
	if !errors.Is(err, syscall.ECONNREFUSED) || strings.Count(err.Error(), addr) != 1 {
		t.Errorf("error %q, want a refusal that names %s once", err, addr)
	}
}
