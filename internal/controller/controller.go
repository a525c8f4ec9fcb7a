package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

// Store is the metadata log as the controller uses it: meta.Raft or meta.Memory.
type Store interface {
	Image() *cluster.Image
	Watch() (*cluster.Image, <-chan struct{})
	Leadership() (meta.Leadership, <-chan struct{})
	Barrier(ctx context.Context) error
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
}

// Options configures a [Controller]. Zero values mean the defaults named here.
type Options struct {
	Self    cluster.BrokerID
	Store   Store
	Network peer.Network
	// SessionTimeout is how long a silent broker is kept.
	//
	// The default is 6 s.
	SessionTimeout time.Duration
	// SlowFsync is the age of a sync from which leaderships move away.
	//
	// The default is 3 s.
	SlowFsync time.Duration
	// RebalanceAfter is how long a preferred replica must have been in sync
	// before it gets its leadership back.
	//
	// The default is 10 s.
	RebalanceAfter time.Duration
	// ProbePause is the time between two attempts to reach a broker whose
	// connection ended.
	//
	// The default is 100 ms.
	ProbePause time.Duration
	// Logger receives decisions; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.SessionTimeout = cmp.Or(o.SessionTimeout, 6*time.Second)
	o.SlowFsync = cmp.Or(o.SlowFsync, 3*time.Second)
	o.RebalanceAfter = cmp.Or(o.RebalanceAfter, 10*time.Second)
	o.ProbePause = cmp.Or(o.ProbePause, 100*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// decideInterval is how often sessions are looked at.
const decideInterval = 100 * time.Millisecond

// Controller acts while this broker leads the metadata log.
type Controller struct {
	o      Options
	probes chan cluster.BrokerID // brokers whose connection ended; full means a probe is due anyway

	mu     sync.Mutex
	plan   plan // guarded by mu
	active bool // guarded by mu
}

// maxProbes bounds the probes that wait.
const maxProbes = 64

// New returns a controller that does nothing until [Controller.Run].
func New(o Options) *Controller {
	c := &Controller{o: o.withDefaults(), probes: make(chan cluster.BrokerID, maxProbes)}
	c.plan = c.newPlan()
	return c
}

func (c *Controller) newPlan() plan {
	return plan{
		sessionTimeout: c.o.SessionTimeout, slowFsync: c.o.SlowFsync, rebalanceAfter: c.o.RebalanceAfter,
		sessions: map[cluster.BrokerID]*session{}, preferredSince: map[cluster.TopicPartition]time.Time{},
	}
}

// Run acts as the controller whenever this broker leads, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	for {
		lead, changed := c.o.Store.Leadership()
		if lead.Self {
			term, cancel := context.WithCancel(ctx)
			watched := make(chan struct{})
			go func() {
				defer close(watched)
				defer cancel()
				select {
				case <-changed:
				case <-term.Done():
				}
			}()
			c.serveTerm(term)
			cancel()
			<-watched
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// serveTerm acts until ctx ends, which it does with the leadership.
func (c *Controller) serveTerm(ctx context.Context) {
	if err := c.o.Store.Barrier(ctx); err != nil {
		if ctx.Err() == nil {
			c.o.Logger.Warn("cannot take over as controller yet", slog.Any("error", err))
			pause(ctx, decideInterval)
		}
		return
	}
	if err := c.initCluster(ctx); err != nil {
		c.o.Logger.Warn("cannot choose a cluster id yet", slog.Any("error", err))
		pause(ctx, decideInterval)
		return
	}
	c.takeOver()
	defer c.step(false)
	c.o.Logger.Info("acting as controller")
	var probing sync.WaitGroup
	defer probing.Wait()
	for _, b := range c.o.Store.Image().Brokers() {
		if !b.Fenced && b.ID != c.o.Self {
			probing.Go(func() { c.probe(ctx, b.ID) }) // K35
		}
	}
	ticker := time.NewTicker(decideInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.decide(ctx)
		case id := <-c.probes:
			probing.Go(func() { c.probe(ctx, id) })
		case <-ctx.Done():
			return
		}
	}
}

func (c *Controller) initCluster(ctx context.Context) error {
	if c.o.Store.Image().ClusterID() != "" {
		return nil
	}
	id, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return err
	}
	res, err := c.o.Store.Propose(ctx, cluster.InitCluster{ClusterID: id.String()})
	return cmp.Or(err, res.Err)
}

// takeOver starts with every broker's session as if it had just been heard.
func (c *Controller) takeOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan = c.newPlan()
	now := time.Now()
	for _, b := range c.o.Store.Image().Brokers() {
		c.plan.sessions[b.ID] = &session{heardAt: now}
	}
	c.active = true
}

func (c *Controller) step(active bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active = active
}

func (c *Controller) isActive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active
}

// decide proposes what the plan asks for.
func (c *Controller) decide(ctx context.Context) {
	c.mu.Lock()
	cmds := c.plan.decide(time.Now(), c.o.Store.Image())
	c.mu.Unlock()
	for _, cmd := range cmds {
		c.propose(ctx, cmd)
	}
}

func (c *Controller) propose(ctx context.Context, cmd cluster.Command) {
	res, err := c.o.Store.Propose(ctx, cmd)
	if err = cmp.Or(err, res.Err); err != nil {
		c.o.Logger.Warn("decision was not applied", slog.String("command", fmt.Sprintf("%T", cmd)), slog.Any("error", err))
		return
	}
	c.o.Logger.Info("decided", slog.String("command", fmt.Sprintf("%T", cmd)), slog.Any("detail", cmd))
}

// probe fences a broker that refuses two connections in a row: its process is
// gone. Anything else proves nothing, and the session decides.
func (c *Controller) probe(ctx context.Context, id cluster.BrokerID) {
	b, ok := c.o.Store.Image().Broker(id)
	if !ok || b.Fenced {
		return
	}
	for i := range 2 {
		if i > 0 && !pause(ctx, c.o.ProbePause) {
			return
		}
		if !c.refuses(ctx, b.Peer.String()) {
			return
		}
	}
	c.propose(ctx, cluster.FenceBroker{ID: id, Epoch: b.Epoch, Reason: "its process is gone: connection ended and two dials refused"})
}

func (c *Controller) refuses(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.o.Network.DialContext(ctx, addr)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return isRefused(err)
}

// HandleConn serves a broker's requests until the connection ends. The end of
// one that carried heartbeats makes the broker a suspect.
func (c *Controller) HandleConn(ctx context.Context, remote peer.Hello, conn net.Conn) {
	beats := false
	for {
		var req request
		if err := readMessage(conn, &req, time.Time{}); err != nil {
			break
		}
		beats = beats || req.Heartbeat != nil
		timeout := time.Duration(req.TimeoutMillis) * time.Millisecond
		call, cancel := context.WithTimeout(ctx, timeout)
		resp := c.handle(call, req)
		cancel()
		if err := writeMessage(conn, resp, time.Now().Add(5*time.Second)); err != nil {
			break
		}
	}
	if beats && ctx.Err() == nil && c.isActive() {
		select {
		case c.probes <- remote.From:
		default: // so many at once: the sessions decide
		}
	}
}

// handle answers one request.
func (c *Controller) handle(ctx context.Context, req request) response {
	if !c.isActive() {
		lead, _ := c.o.Store.Leadership()
		return response{NotController: true, Leader: lead.Leader}
	}
	var res cluster.Result
	var err error
	switch {
	case req.Heartbeat != nil:
		err = c.heartbeat(*req.Heartbeat)
	case req.Create != nil:
		res, err = c.createTopic(ctx, *req.Create)
	case req.Command != nil:
		res, err = c.command(ctx, req.Command)
	default:
		err = fmt.Errorf("empty request: %w", cluster.ErrInvalidRequest)
	}
	if isNotLeader(err) {
		lead, _ := c.o.Store.Leadership()
		return response{NotController: true, Leader: lead.Leader}
	}
	return response{Result: encodeResult(res), Err: encodeError(cmp.Or(err, res.Err))}
}

func (c *Controller) command(ctx context.Context, raw []byte) (cluster.Result, error) {
	cmd, err := cluster.Decode(raw)
	if err != nil {
		return cluster.Result{}, fmt.Errorf("%w: %w", cluster.ErrInvalidRequest, err)
	}
	if reg, ok := cmd.(cluster.RegisterBroker); ok {
		if err := c.checkDuplicate(reg.Broker); err != nil {
			return cluster.Result{}, err
		}
	}
	return c.o.Store.Propose(ctx, cmd)
}

// checkDuplicate refuses another data directory while the one that the id
// belongs to is alive (R12). The same directory is locked by one process only,
// so it may register at once.
func (c *Controller) checkDuplicate(b cluster.Broker) error {
	known, ok := c.o.Store.Image().Broker(b.ID)
	if !ok || known.Directory == b.Directory || known.Fenced {
		return nil
	}
	return fmt.Errorf("broker %d at %s is alive: %w", b.ID, known.Peer, cluster.ErrDuplicateBroker)
}

// heartbeat notes that a broker is alive. A broker of another epoch must
// register anew.
func (c *Controller) heartbeat(h Heartbeat) error {
	known, ok := c.o.Store.Image().Broker(h.Broker)
	if !ok {
		return fmt.Errorf("broker %d: %w", h.Broker, cluster.ErrUnknownBroker)
	}
	if known.Epoch != h.Epoch && h.Epoch != 0 {
		return fmt.Errorf("broker %d epoch %d, registered is %d: %w", h.Broker, h.Epoch, known.Epoch, cluster.ErrStaleBrokerEpoch)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan.sessions[h.Broker] = &session{
		epoch: h.Epoch, heardAt: time.Now(), applied: h.AppliedIndex, fsyncAge: h.OldestFsyncAge, failed: h.FailedReplicas,
	}
	return nil
}

func (c *Controller) createTopic(ctx context.Context, spec TopicSpec) (cluster.Result, error) {
	assignment, err := c.assign(spec)
	if err != nil {
		return cluster.Result{}, err
	}
	id, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return cluster.Result{}, err
	}
	return c.o.Store.Propose(ctx, cluster.CreateTopic{ID: id, Name: spec.Name, Assignment: assignment, Configs: spec.Configs})
}

func (c *Controller) assign(spec TopicSpec) ([][]cluster.BrokerID, error) {
	if spec.Assignment != nil {
		return spec.Assignment, nil
	}
	var live []*cluster.Broker
	for _, b := range c.o.Store.Image().Brokers() {
		if b.Eligible() {
			live = append(live, b)
		}
	}
	switch {
	case spec.Partitions <= 0 || spec.Partitions > maxPartitions:
		return nil, fmt.Errorf("%d partitions, want 1 to %d: %w", spec.Partitions, maxPartitions, cluster.ErrInvalidPartitions)
	case spec.ReplicationFactor <= 0 || spec.ReplicationFactor > len(live):
		return nil, fmt.Errorf("replication factor %d, %d brokers are live: %w", spec.ReplicationFactor, len(live), cluster.ErrInvalidReplicationFactor)
	}
	return place(live, spec.Partitions, spec.ReplicationFactor, mathrand.IntN(len(live))), nil
}

// maxPartitions bounds the partitions of one topic: their assignment is one
// message and one entry of the metadata log.
const maxPartitions = 50_000

// pause waits for d and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
