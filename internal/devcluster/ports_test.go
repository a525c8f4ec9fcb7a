package devcluster

import (
	"net"
	"testing"
)

// TestPortsNeverCollide takes several blocks' worth of addresses for three
// owners in turns: nobody listens on any of them, and still no two are the same.
func TestPortsNeverCollide(t *testing.T) {
	t.Parallel()
	owners := make([]Ports, 3)
	taken := map[string]bool{}
	for range 2 * blockPorts {
		for i := range owners {
			address, err := owners[i].Address(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if taken[address] {
				t.Fatalf("%s was handed out twice", address)
			}
			taken[address] = true
		}
	}
	for i := range owners {
		if err := owners[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPortsInUseArePassedOver puts a listener in the way.
func TestPortsInUseArePassedOver(t *testing.T) {
	t.Parallel()
	var ports Ports
	defer ports.Close()
	if err := ports.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	foreign, err := listen(t.Context(), ports.next)
	for ; err != nil && ports.next < ports.end-1; ports.next++ { // of another program
		foreign, err = listen(t.Context(), ports.next+1)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	address, err := ports.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if address == foreign.Addr().String() {
		t.Errorf("%s is listened on", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the address cannot be used: %v", err)
	}
	_ = listener.Close()
}
