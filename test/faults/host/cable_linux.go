package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	farEnd   = "far"  // begins the name of the bridge's end of a slow cable
	ownSide  = "side" // and that of the bridge between it and the host
	maxFrame = 64 << 10
	// inFlight is how many frames a direction holds; those beyond are lost, as
	// they are where a router's queue is full.
	inFlight = 4096
)

// cable carries frames between a host and the bridge, late.
type cable struct {
	ends          [2]*os.File
	delay, jitter atomic.Int64 // nanoseconds
	stop          chan struct{}
	running       sync.WaitGroup
}

// frame is a frame under way.
type frame struct {
	due  time.Time
	data []byte
}

// insertCable puts a slow cable between a host and the bridge:
//
//	eth0 == portN - sideN - nearN ... this process ... farN - bridge
//
// REQUIRES: n.mu is held.
func (n *Network) insertCable(host int) (*cable, error) {
	if host != Client && (host < 1 || host > n.hosts) {
		return nil, fmt.Errorf("there is no host %d", host)
	}
	c := &cable{stop: make(chan struct{})}
	err := n.on(0, func() error {
		for i, end := range []string{nearEnd, farEnd} {
			var err error
			if c.ends[i], err = openTap(fmt.Sprint(end, host)); err != nil {
				return err
			}
		}
		return run(fmt.Sprintf("link add %[1]s%[5]d type bridge\nlink set %[1]s%[5]d up\n"+
			"link set %[2]s%[5]d master %[1]s%[5]d up\nlink set %[3]s%[5]d master %[4]s up\n"+
			"link set port%[5]d nomaster\nlink set port%[5]d master %[1]s%[5]d\n",
			ownSide, nearEnd, farEnd, bridgeName, host), "ip", "-batch", "-")
	})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	for i := range c.ends {
		c.carry(c.ends[i], c.ends[1-i])
	}
	return c, nil
}

// removeCable puts the host back onto the bridge. REQUIRES: n.mu is held.
func (n *Network) removeCable(host int) error {
	c := n.cables[host]
	delete(n.cables, host)
	err := n.on(0, func() error {
		return run(fmt.Sprintf("link set %s nomaster\nlink set %s master %s\nlink delete %s%d\n",
			port(host), port(host), bridgeName, ownSide, host), "ip", "-batch", "-")
	})
	return errors.Join(err, c.close())
}

func (c *cable) set(delay, jitter time.Duration) {
	c.delay.Store(int64(delay))
	c.jitter.Store(int64(jitter))
}

// close loses what is under way. The devices end with their files.
func (c *cable) close() error {
	close(c.stop)
	var errs []error
	for _, end := range c.ends {
		if end != nil {
			errs = append(errs, end.Close())
		}
	}
	c.running.Wait()
	return errors.Join(errs...)
}

// carry runs one direction until close.
func (c *cable) carry(from, to *os.File) {
	underWay := make(chan frame, inFlight)
	c.running.Go(func() {
		defer close(underWay)
		c.read(from, underWay)
	})
	c.running.Go(func() { c.deliver(underWay, to) })
}

func (c *cable) read(from *os.File, underWay chan<- frame) {
	buf := make([]byte, maxFrame)
	for {
		size, err := from.Read(buf)
		if err != nil {
			return // closed
		}
		select {
		case underWay <- frame{due: time.Now().Add(c.latency()), data: append([]byte(nil), buf[:size]...)}:
		default: // no room: lost
		}
	}
}

// latency is that of one frame. A frame waits for the one before it too, so
// that the order stays.
func (c *cable) latency() time.Duration {
	d, jitter := c.delay.Load(), c.jitter.Load()
	if jitter > 0 {
		d += rand.Int64N(2*jitter+1) - jitter //nolint:gosec // a delay, not a secret
	}
	return time.Duration(max(d, 0))
}

func (c *cable) deliver(underWay <-chan frame, to *os.File) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for f := range underWay {
		timer.Reset(time.Until(f.due))
		select {
		case <-timer.C:
		case <-c.stop:
			continue
		}
		_, _ = to.Write(f.data) // a frame that the kernel refuses is a lost one
	}
}

// openTap makes a network device whose frames are read from and written to the
// file, in the namespace of the calling thread.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("device %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}
