//go:build linux

package host

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCableHoldsNoMoreThanItsBound sends more frames than are ever delivered.
// It needs no network: any socket that keeps frames apart is an end.
func TestCableHoldsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	host, end := os.NewFile(uintptr(pair[0]), "host"), os.NewFile(uintptr(pair[1]), "end")
	defer end.Close()
	c := &cable{stop: make(chan struct{})}
	c.set(time.Hour, 0)
	underWay := make(chan frame, inFlight)
	const sent = inFlight + 1000
	go func() {
		defer host.Close() // ends the reading, once everything is read
		for range sent {
			host.Write([]byte("frame"))
		}
	}()
	c.read(end, underWay)
	if len(underWay) != inFlight {
		t.Errorf("%d of %d frames are under way, want %d", len(underWay), sent, inFlight)
	}
}
