package testcluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

// Options configures a [Cluster]. Zero values mean the defaults named here.
type Options struct {
	// Brokers is how many there are; their ids count from 1.
	//
	// The default is 3.
	Brokers int
	// Dir is on the operating system's file system and holds the metadata logs.
	// It is required.
	Dir string
	// Rand decides what survives a power loss. It is required.
	Rand *rand.Rand
	// Latency is what every message takes from one broker to another, and to and
	// from clients.
	//
	// The default is 500 µs.
	Latency time.Duration
	// Sync is how long a disk takes to sync.
	//
	// The default is 1 ms.
	Sync time.Duration
	// WALFileBytes is the size of the files of the write-ahead logs, small so
	// that tests see them change.
	//
	// The default is 2 MiB, the smallest.
	WALFileBytes int64
	// DrainTimeout bounds what a broker that is stopped does for others first.
	//
	// The default is the broker's own.
	DrainTimeout time.Duration
	// HTTP gives every broker an HTTP listener, at port 9292.
	HTTP bool
	// Logger receives the brokers' logs; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Brokers = cmp.Or(o.Brokers, 3)
	o.Latency = cmp.Or(o.Latency, 500*time.Microsecond)
	o.Sync = cmp.Or(o.Sync, time.Millisecond)
	o.WALFileBytes = cmp.Or(o.WALFileBytes, 2<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Cluster is some brokers and what connects them. Its methods are for one
// goroutine, except [Cluster.DialContext].
type Cluster struct {
	o       Options
	net     *peer.MemNetwork
	brokers []*broker // by id, from 1
	running sync.WaitGroup
}

// clients is the network name of the machine that all clients run on.
const clients = "clients"

// New returns a cluster whose brokers are all down.
func New(o Options) *Cluster {
	c := &Cluster{o: o.withDefaults(), net: peer.NewMemNetwork()}
	hosts := []string{clients}
	for i := range c.o.Brokers {
		b := &broker{id: cluster.BrokerID(i + 1), disk: newDisk(c.o.Sync)}
		c.brokers = append(c.brokers, b)
		hosts = append(hosts, host(b.id))
	}
	for _, from := range hosts {
		for _, to := range hosts {
			c.net.SetLatency(from, to, c.o.Latency)
		}
	}
	return c
}

// Brokers lists all ids.
func (c *Cluster) Brokers() []cluster.BrokerID {
	var ids []cluster.BrokerID
	for _, b := range c.brokers {
		ids = append(ids, b.id)
	}
	return ids
}

// Up lists the ids of the brokers whose process runs.
func (c *Cluster) Up() []cluster.BrokerID {
	var ids []cluster.BrokerID
	for _, b := range c.brokers {
		if b.up {
			ids = append(ids, b.id)
		}
	}
	return ids
}

// Seeds are the addresses of all brokers for clients.
func (c *Cluster) Seeds() []string {
	var addrs []string
	for _, b := range c.brokers {
		addrs = append(addrs, host(b.id)+":9092")
	}
	return addrs
}

// DialContext connects a client; it is for kgo.Dialer.
func (c *Cluster) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	return c.net.Host(clients).DialContext(ctx, addr)
}

func (c *Cluster) broker(id cluster.BrokerID) *broker { return c.brokers[id-1] }

// Start starts brokers, all of them if none are named. It waits for what is left
// of their last processes, as their directories are locked, and not for the new
// ones to be ready.
func (c *Cluster) Start(ids ...cluster.BrokerID) {
	for _, id := range c.all(ids) {
		b := c.broker(id)
		if b.up {
			continue
		}
		if b.process != nil {
			b.process.ended()
		}
		c.start(b)
	}
}

func (c *Cluster) all(ids []cluster.BrokerID) []cluster.BrokerID {
	if len(ids) == 0 {
		return c.Brokers()
	}
	return ids
}

// AwaitReady waits until the named brokers serve, or all of them.
func (c *Cluster) AwaitReady(ctx context.Context, ids ...cluster.BrokerID) error {
	for _, id := range c.all(ids) {
		p := c.broker(id).process
		select {
		case <-p.ready.done:
		case <-p.done:
			return fmt.Errorf("broker %d: %w: %w", id, errEarly, p.err)
		case <-ctx.Done():
			return fmt.Errorf("broker %d is not ready: %w", id, context.Cause(ctx))
		}
	}
	return nil
}

// PowerLoss ends processes at once, all of them if none are named, and takes
// from their disks what was not synced.
func (c *Cluster) PowerLoss(ids ...cluster.BrokerID) {
	c.crash(c.all(ids), true)
}

// Kill ends processes as kill -9 does: the disks keep what was written.
func (c *Cluster) Kill(ids ...cluster.BrokerID) {
	c.crash(c.all(ids), false)
}

// crash takes the brokers off the network first: what they still write then,
// before the disks are read, nobody was told of.
func (c *Cluster) crash(ids []cluster.BrokerID, power bool) {
	var victims []*broker
	for _, id := range ids {
		if b := c.broker(id); b.up {
			b.up = false
			victims = append(victims, b)
			c.cut(b)
		}
	}
	for _, b := range victims {
		b.process.mount.unmount()
		if power {
			b.disk.losePower(c.o.Rand)
		}
	}
}

// Stop ends a broker gracefully. When ctx ends first, the broker is killed.
func (c *Cluster) Stop(ctx context.Context, id cluster.BrokerID) error {
	b := c.broker(id)
	if !b.up {
		return nil
	}
	b.process.stop()
	select {
	case <-b.process.done:
	case <-ctx.Done():
		c.Kill(id)
		return fmt.Errorf("stop broker %d: %w", id, context.Cause(ctx))
	}
	b.up = false
	b.process.port.unplug()
	b.process.mount.unmount()
	if err := b.process.err; err != nil {
		return fmt.Errorf("stop broker %d: %w", id, err)
	}
	return nil
}

// Failed reports the processes that ended although nobody ended them.
func (c *Cluster) Failed() error {
	var errs []error
	for _, b := range c.brokers {
		if !b.up {
			continue
		}
		select {
		case <-b.process.done:
			errs = append(errs, fmt.Errorf("broker %d: %w: %w", b.id, errEarly, b.process.err))
		default:
		}
	}
	return errors.Join(errs...)
}

// ReplaceDisk empties the disk of a broker that is down, metadata included: it
// is a new machine with an old name.
func (c *Cluster) ReplaceDisk(id cluster.BrokerID) error {
	b := c.broker(id)
	if b.up {
		return fmt.Errorf("replace the disk of broker %d: it is running", id)
	}
	if b.process != nil {
		b.process.ended()
	}
	b.disk.replace()
	return os.RemoveAll(filepath.Join(c.o.Dir, host(id)))
}

// Disk is a broker's disk.
func (c *Cluster) Disk(id cluster.BrokerID) *Disk { return c.broker(id).disk }

// Cut stops what flows from one broker to another, and holds it back; the other
// direction is a link of its own.
func (c *Cluster) Cut(from, to cluster.BrokerID) { c.net.Cut(host(from), host(to)) }

// Heal undoes Cut.
func (c *Cluster) Heal(from, to cluster.BrokerID) { c.net.Heal(host(from), host(to)) }

// SetLatency delays what one broker sends to another from now on.
func (c *Cluster) SetLatency(from, to cluster.BrokerID, d time.Duration) {
	c.net.SetLatency(host(from), host(to), d)
}

// Repair heals all links, thaws, speeds up and clears all disks, and starts all brokers
// that are down.
func (c *Cluster) Repair() {
	for _, from := range c.Brokers() {
		c.Disk(from).Thaw()
		c.Disk(from).SetSync(c.o.Sync)
		c.Disk(from).Fill(Space)
		for _, to := range c.Brokers() {
			c.Heal(from, to)
			c.SetLatency(from, to, c.o.Latency)
		}
	}
	c.Start()
}

// Close ends what still runs, however, and waits for it.
func (c *Cluster) Close() {
	c.Kill()
	for _, b := range c.brokers {
		if b.process != nil {
			b.process.stop()
		}
	}
	c.running.Wait()
	c.net.Close()
}
