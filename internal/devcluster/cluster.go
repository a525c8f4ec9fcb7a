// Package devcluster runs a cluster of real broker processes on this machine:
// the same executable, started as an operator would start it, on free loopback
// ports. Brokers can be killed, frozen, stopped and started again. It serves
// "chronik dev", the bench tool's failovers and the end-to-end tests, and ends
// only processes that it started.
package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options describe a cluster.
type Options struct {
	// Binary is the chronik executable.
	//
	// The default is the one that runs.
	Binary string

	// Brokers is how many brokers there are.
	//
	// The default is 3.
	Brokers int

	// Dir holds the data and the logs. A directory of an earlier cluster is
	// taken up again, with the ports it had.
	//
	// The default is a new temporary directory, which Close removes.
	Dir string

	// Layout says where the brokers are, with addresses that are not loopback
	// ones; without places for data and log those are in Dir. It replaces
	// Brokers, and is not written down.
	//
	// The default is free ports of this machine.
	Layout []Broker

	// Args are more arguments for every "server start". A flag among them,
	// followed by its value, takes the place of the one that the cluster would
	// give.
	Args []string

	// Command makes the command that becomes a broker, for whoever starts them
	// in a place of their own.
	//
	// The default is Binary with the arguments.
	Command func(b Broker, args []string) (*exec.Cmd, error)

	// Links puts a link between every two brokers that Isolate and Delay act on.
	// Without it they are an error, and brokers reach each other directly.
	Links bool

	// ReadyTimeout bounds the start of a broker.
	//
	// The default is 30 s.
	ReadyTimeout time.Duration

	// StopTimeout is how long a broker may take to stop when asked to, before
	// it is killed.
	//
	// The default is 15 s.
	StopTimeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.Binary == "" {
		binary, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the running executable: %w", err)
		}
		o.Binary = binary
	}
	if o.Command == nil {
		o.Command = func(_ Broker, args []string) (*exec.Cmd, error) {
			// The process outlives any context: it is ended by stop and kill alone.
			return exec.Command(o.Binary, args...), nil //nolint:noctx // see above
		}
	}
	if o.Layout != nil {
		o.Brokers = len(o.Layout)
	}
	if o.Brokers == 0 {
		o.Brokers = 3
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = 30 * time.Second
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 15 * time.Second
	}
	return o, nil
}

// MaxBrokers bounds a cluster: more do not fit on one machine in a useful way.
const MaxBrokers = 9

// startAttempts is how often a new cluster is tried on other ports: a port
// that was free when it was chosen may be taken a moment later.
const startAttempts = 3

// Causes of a failed start.
var (
	ErrPortTaken = errors.New("a port was taken before the broker could listen on it")
	ErrNotReady  = errors.New("the broker did not become ready")
	ErrExited    = errors.New("the broker exited")
	ErrRunning   = errors.New("the broker runs already")
	ErrStopped   = errors.New("the broker does not run")
	ErrNoLinks   = errors.New("the cluster was started without links that can be cut")
)

// Broker is one broker of a cluster.
type Broker struct {
	ID      int    `json:"id"`
	Address string `json:"address"` // for clients
	Peer    string `json:"peer"`    // for the other brokers
	HTTP    string `json:"http"`    // health and metrics
	DataDir string `json:"data_dir"`
	Log     string `json:"log"`
	PID     int    `json:"pid"` // 0: does not run
}

// Cluster is a running cluster. It is safe for concurrent use.
type Cluster struct {
	options Options
	dir     string
	layout  []Broker
	ports   Ports  // those of a new layout
	links   *links // nil: brokers reach each other directly

	mu        sync.Mutex
	temporary bool       // guarded by mu; dir is ours to remove
	processes []*process // guarded by mu; by index, nil when it does not run
	closed    bool       // guarded by mu
}

// Start starts all brokers and returns once each one serves.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, options)
		if err == nil || !errors.Is(err, ErrPortTaken) || attempt == startAttempts {
			return c, err
		}
	}
}

func start(ctx context.Context, options Options) (*Cluster, error) {
	c, err := prepare(ctx, options)
	if err != nil {
		return nil, err
	}
	if err := c.startAll(ctx); err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Prepare arranges a cluster and starts no broker: see [Cluster.Launch].
func Prepare(ctx context.Context, options Options) (*Cluster, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	return prepare(ctx, options)
}

func prepare(ctx context.Context, options Options) (*Cluster, error) {
	if options.Brokers < 1 || options.Brokers > MaxBrokers {
		return nil, fmt.Errorf("%d brokers: want 1 to %d", options.Brokers, MaxBrokers)
	}
	var err error
	c := &Cluster{options: options, dir: options.Dir}
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "chronik-dev-")
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		c.dir, c.temporary = dir, true // nobody else has c yet
	}
	if err = c.arrange(ctx); err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	if options.Links {
		if c.links, err = openLinks(ctx, c.layout); err != nil {
			return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
		}
	}
	c.processes = make([]*process, len(c.layout)) // nobody else has c yet
	return c, nil
}

// arrange takes up the layout in the directory, or makes a new one.
func (c *Cluster) arrange(ctx context.Context) error {
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	c.dir = dir
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if c.options.Layout != nil {
		c.layout = givenLayout(c.dir, c.options.Layout)
		return nil
	}
	if c.layout, err = readLayout(c.dir); err != nil || len(c.layout) > 0 {
		return err
	}
	if c.layout, err = newLayout(ctx, c.dir, c.options.Brokers, &c.ports); err != nil {
		return err
	}
	return writeLayout(c.dir, c.layout)
}

// startAll starts every broker before it waits for any: none serves before a
// majority runs.
func (c *Cluster) startAll(ctx context.Context) error {
	for i := range c.layout {
		if err := c.Launch(i); err != nil {
			return err
		}
	}
	for i := range c.layout {
		if err := c.AwaitReady(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// Launch starts the process of a broker and does not wait until it serves. A
// flag among the arguments, followed by its value, takes the place of the one
// that the cluster would give.
func (c *Cluster) Launch(i int, args ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("broker %d: the cluster is closed", c.layout[i].ID)
	}
	if c.processes[i] != nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, ErrRunning)
	}
	cmd, err := c.options.Command(c.layout[i], replace(c.arguments(i), args))
	if err != nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, err)
	}
	p, err := startProcess(cmd, c.layout[i].Log)
	if err != nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, err)
	}
	c.processes[i] = p
	return nil
}

// AwaitReady waits until a broker that was launched serves, at most for
// ReadyTimeout. The error is a [BrokerError] unless ctx ended.
func (c *Cluster) AwaitReady(ctx context.Context, i int) error {
	p, err := c.running(i)
	if err != nil {
		return err
	}
	timer := time.NewTimer(c.options.ReadyTimeout)
	defer timer.Stop()
	broker := c.layout[i]
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return c.failure(broker, fmt.Errorf("%w before it was ready: %w", ErrExited, p.exitError()))
	case <-timer.C:
		return c.failure(broker, fmt.Errorf("%w within %s", ErrNotReady, c.options.ReadyTimeout))
	case <-ctx.Done():
		return fmt.Errorf("broker %d: %w", broker.ID, context.Cause(ctx))
	}
}

// failure adds what the broker's own log says last: that is where the reason
// is.
func (c *Cluster) failure(b Broker, err error) error {
	tail := logTail(b.Log)
	if strings.Contains(tail, "address already in use") {
		err = fmt.Errorf("%w: %w", ErrPortTaken, err)
	}
	return &BrokerError{Broker: b, Err: err, LogTail: tail}
}

// BrokerError is a broker that failed, with the end of its log.
type BrokerError struct {
	Broker  Broker
	Err     error
	LogTail string
}

// Error names the broker and the cause; LogTail has more.
func (e *BrokerError) Error() string { return fmt.Sprintf("broker %d: %v", e.Broker.ID, e.Err) }

// Unwrap returns the cause.
func (e *BrokerError) Unwrap() error { return e.Err }

func (c *Cluster) running(i int) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.processes) {
		return nil, fmt.Errorf("broker index %d: the cluster has %d brokers", i, len(c.processes))
	}
	if c.processes[i] == nil {
		return nil, fmt.Errorf("broker %d: %w", c.layout[i].ID, ErrStopped)
	}
	return c.processes[i], nil
}
