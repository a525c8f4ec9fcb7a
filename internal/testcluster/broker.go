package testcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/server"
)

// broker is a machine: a disk, and the process that runs on it, if one does.
type broker struct {
	id   cluster.BrokerID
	disk *Disk
	// process is the running one, or the last one.
	process *process
	up      bool
}

// process is one run of a broker.
type process struct {
	port  *port
	mount *mount
	ready readiness
	stop  context.CancelFunc
	done  chan struct{}
	err   error // written before done is closed
}

// host is a broker's name on the network.
func host(id cluster.BrokerID) string { return fmt.Sprintf("b%d", id) }

// start runs a broker as cmd/chronik does.
func (c *Cluster) start(b *broker) {
	p := &process{
		port: newPort(c.net.Host(host(b.id))), mount: b.disk.mount(),
		ready: readiness{done: make(chan struct{})}, done: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	config := server.Config{
		NodeID: b.id, DataDir: "data", MetadataDir: filepath.Join(c.o.Dir, host(b.id)),
		Listen: host(b.id) + ":9092", PeerListen: host(b.id) + ":9192", HTTPListen: server.HTTPOff,
		Peers: c.peers(), InsecurePeers: true,
		WALFileBytes: c.o.WALFileBytes,
		Ready:        &p.ready, Logger: c.o.Logger.With(slog.Int("broker", int(b.id))),
		FS: p.mount, Network: p.port, DrainTimeout: c.o.DrainTimeout,
	}
	if c.o.HTTP {
		config.HTTPListen = host(b.id) + ":9292"
	}
	b.process, b.up = p, true
	c.running.Go(func() {
		defer close(p.done)
		p.err = server.Run(ctx, config)
	})
}

func (c *Cluster) peers() []server.Peer {
	var peers []server.Peer
	for _, id := range c.Brokers() {
		peers = append(peers, server.Peer{ID: id, Addr: host(id) + ":9192"})
	}
	return peers
}

// cut takes a process off the network, without a goodbye. What it does from now
// on nobody sees.
func (c *Cluster) cut(b *broker) {
	c.net.Crash(host(b.id))
	b.process.port.unplug()
}

// errEarly is the end of a broker that was not asked to end.
var errEarly = errors.New("ended by itself")

// ended waits for a process that was told to stop or lost its ports.
func (p *process) ended() {
	<-p.done
	p.stop()
}

// readiness notices the line that says that a broker serves.
type readiness struct {
	once sync.Once
	done chan struct{}
}

// Write implements [io.Writer].
func (r *readiness) Write(line []byte) (int, error) {
	if bytes.HasSuffix(line, []byte("\n")) {
		r.once.Do(func() { close(r.done) })
	}
	return len(line), nil
}
