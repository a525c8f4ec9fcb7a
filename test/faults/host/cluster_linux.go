package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// Ports of every broker.
const (
	KafkaPort = 9092
	PeerPort  = 9192
	HTTPPort  = 9292
)

// Options describe a cluster.
type Options struct {
	// Brokers is how many there are, on hosts 1 to Brokers.
	//
	// The default is the hosts of the network.
	Brokers int

	// Binary is the chronik executable.
	//
	// The default is the one that Main has built.
	Binary string

	// DataDirs are the directories of the data, by index.
	//
	// The default is temporary directories of the test.
	DataDirs []string

	// Names lets the brokers know each other by names, see [Name], which
	// resolve once [Network.SetHosts] says so.
	Names bool

	// Args are more arguments of every "server start"; a flag among them,
	// followed by its value, takes the place of the cluster's.
	Args []string

	// BrokerArgs returns the same for one broker, at each start.
	BrokerArgs func(id int) []string

	// Env are more variables of every broker: NAME=value.
	Env []string

	// OpenFiles limits the files that a broker may have open.
	//
	// The default is the test's own limit.
	OpenFiles uint64

	// Memory limits each broker, in bytes: the kernel kills one that needs
	// more.
	//
	// The default is no limit.
	Memory int64

	// ReadyTimeout bounds the start of a broker.
	//
	// The default is 30 s.
	ReadyTimeout time.Duration

	// StopTimeout is how long a broker may take to stop when asked to.
	//
	// The default is 15 s.
	StopTimeout time.Duration
}

// Name is the name of a broker's host in the flags of a cluster with Names.
func Name(id int) string { return fmt.Sprintf("broker%d.test", id) }

// Cluster is brokers on hosts: the broker at index i has the id i+1 and is on
// host i+1. Its methods are those of the cluster below, by index: Kill, Stop,
// Pause, Resume, Launch, AwaitReady, Restart, Wait and so on.
//
// Brokers that run at the end of the test are killed. Its log is checked for
// data races and panics then, and its end shown if the test has failed.
type Cluster struct {
	*devcluster.Cluster

	network *Network
	options Options

	mu     sync.Mutex
	binary []string // guarded by mu; by index
	groups []string // by index
}

// Start starts a cluster and returns once every broker serves.
func Start(t testing.TB, n *Network, options Options) *Cluster {
	t.Helper()
	c := Prepare(t, n, options)
	for i := range c.Brokers() {
		if err := c.Launch(i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range c.Brokers() {
		if err := c.AwaitReady(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Prepare arranges a cluster and starts no broker.
func Prepare(t testing.TB, n *Network, options Options) *Cluster {
	t.Helper()
	c := &Cluster{network: n, options: options}
	if c.options.Brokers == 0 {
		c.options.Brokers = n.hosts
	}
	if c.options.Binary == "" {
		c.options.Binary = harness.Binary()
	}
	if c.options.Brokers > n.hosts {
		t.Fatalf("%d brokers on %d hosts", c.options.Brokers, n.hosts)
	}
	c.binary = slices.Repeat([]string{c.options.Binary}, c.options.Brokers)
	if err := c.prepare(t); err != nil {
		t.Fatalf("prepare a cluster: %v", err)
	}
	t.Cleanup(func() {
		for i := range c.Brokers() {
			if c.Alive(i) {
				harness.Report(t, c.Kill(i))
			}
		}
		harness.Report(t, c.Close(context.WithoutCancel(t.Context())))
		harness.CheckLogs(t, c.Cluster)
	})
	return c
}

func (c *Cluster) prepare(t testing.TB) (err error) {
	dir := t.TempDir()
	if c.options.Memory > 0 {
		for i := range c.options.Brokers {
			group, err := limitMemory(fmt.Sprintf("broker-%d", i+1), c.options.Memory)
			if err != nil {
				return err
			}
			c.groups = append(c.groups, group)
		}
	}
	args := []string{"--insecure-peers=true"}
	if c.options.Names {
		args = append(args, "--peers", c.peersByName())
	}
	c.Cluster, err = devcluster.Prepare(t.Context(), devcluster.Options{
		Dir: dir, Layout: c.layout(), Args: append(args, c.options.Args...),
		ReadyTimeout: c.options.ReadyTimeout, StopTimeout: c.options.StopTimeout,
		Command: c.command,
	})
	return err
}

// layout says where the brokers are.
func (c *Cluster) layout() []devcluster.Broker {
	brokers := make([]devcluster.Broker, c.options.Brokers)
	for i := range brokers {
		at := func(port int) string { return fmt.Sprintf("%s:%d", Address(i+1), port) }
		brokers[i] = devcluster.Broker{ID: i + 1, Address: at(KafkaPort), Peer: at(PeerPort), HTTP: at(HTTPPort)}
		if i < len(c.options.DataDirs) {
			brokers[i].DataDir = c.options.DataDirs[i]
		}
	}
	return brokers
}

// command starts a broker on its host.
func (c *Cluster) command(b devcluster.Broker, args []string) (*exec.Cmd, error) {
	p := place{
		Namespace: filepath.Join(namedNamespaces, spaceName(b.ID)),
		Etc:       c.network.names.files,
		OpenFiles: c.options.OpenFiles,
	}
	c.mu.Lock()
	p.Binary = c.binary[b.ID-1]
	c.mu.Unlock()
	if c.groups != nil {
		p.Group = c.groups[b.ID-1]
	}
	if _, err := os.Stat(p.Binary); err != nil {
		return nil, err
	}
	return p.command(args, c.options.Env)
}

// peersByName is the --peers flag of a cluster with names.
func (c *Cluster) peersByName() string {
	peers := make([]string, c.options.Brokers)
	for i := range peers {
		peers[i] = fmt.Sprintf("%d@%s:%d", i+1, Name(i+1), PeerPort)
	}
	return strings.Join(peers, ",")
}

// Launch starts the process of a broker and does not wait until it serves.
// More arguments prevail over BrokerArgs, and those over all others.
func (c *Cluster) Launch(i int, args ...string) error {
	if c.options.BrokerArgs != nil {
		args = append(slices.Clone(c.options.BrokerArgs(i+1)), args...)
	}
	return c.Cluster.Launch(i, args...)
}

// Restart starts a broker that was killed or stopped, or that ended by itself,
// and returns once it serves.
func (c *Cluster) Restart(ctx context.Context, i int, args ...string) error {
	if !c.Alive(i) {
		// It may have ended by itself: this forgets it.
		if err := c.Kill(i); err != nil && !errors.Is(err, devcluster.ErrStopped) {
			return err
		}
	}
	if err := c.Launch(i, args...); err != nil {
		return err
	}
	return c.AwaitReady(ctx, i)
}

// SetBinary makes the next start of a broker one of another executable: an
// upgrade, or a broken build.
func (c *Cluster) SetBinary(i int, binary string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.binary[i] = binary
}

// Alive reports whether a broker's process runs, frozen or not.
func (c *Cluster) Alive(i int) bool { return c.Brokers()[i].PID != 0 }

// OutOfMemory returns how often the kernel has killed a broker of a cluster
// with limited memory.
func (c *Cluster) OutOfMemory(i int) (int, error) {
	if c.groups == nil {
		return 0, errors.New("the memory of these brokers has no limit")
	}
	return outOfMemory(c.groups[i])
}
