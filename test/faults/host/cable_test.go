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

// TestLatencyIsWithinJitter on both sides, and not below nothing.
func TestLatencyIsWithinJitter(t *testing.T) {
	t.Parallel()
	const d, jitter = 20 * time.Millisecond, 15 * time.Millisecond
	c := new(cable)
	c.set(d, jitter)
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		latency := c.latency()
		least, most = min(least, latency), max(most, latency)
	}
	if least < d-jitter || least > d-jitter+time.Millisecond || most > d+jitter || most < d+jitter-time.Millisecond {
		t.Errorf("latencies are %v to %v, want %v±%v", least, most, d, jitter)
	}
	c.set(time.Millisecond, time.Second)
	for range 100 {
		if latency := c.latency(); latency < 0 {
			t.Fatalf("a latency of %v", latency)
		}
	}
}
