package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/peer"
)

// Store is the metadata log as the controller uses it: meta.Raft or meta.Memory.
type Store interface {
	Image() *cluster.Image
	Leadership() (meta.Leadership, <-chan struct{})
	Barrier(ctx context.Context) error
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
}

// Options configures a [Controller].
type Options struct {
	// Self is this broker, Store its member of the metadata log and Network the
	// way to the other brokers' peer ports.
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
	// RebalanceAfter is how long a preferred replica must have been fit to lead
	// before it gets its leadership back.
	//
	// The default is 10 s.
	RebalanceAfter time.Duration
	// ProbePause is the least time between two dials of a broker whose
	// connection ended. Two refusals fence it.
	//
	// The default is 100 ms.
	ProbePause time.Duration
	// MaxRequests bounds the requests being answered; one more is told to come
	// again.
	//
	// The default is 256.
	MaxRequests int
	// Logger receives decisions.
	//
	// The default discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.SessionTimeout = cmp.Or(o.SessionTimeout, 6*time.Second)
	o.SlowFsync = cmp.Or(o.SlowFsync, 3*time.Second)
	o.RebalanceAfter = cmp.Or(o.RebalanceAfter, 10*time.Second)
	o.ProbePause = cmp.Or(o.ProbePause, 100*time.Millisecond)
	o.MaxRequests = cmp.Or(o.MaxRequests, 256)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// retryPause is how long a leader waits before it tries again to take office,
// and a client before it looks for the controller again.
const retryPause = 20 * time.Millisecond

// Controller acts while this broker leads the metadata log.
type Controller struct {
	o     Options
	term  atomic.Pointer[term] // nil out of office
	conns atomic.Uint64        // the last connID given
	slots chan struct{}        // one for each request being answered
}

// New returns a controller that does nothing until [Controller.Run].
func New(o Options) *Controller {
	o = o.withDefaults()
	return &Controller{o: o, slots: make(chan struct{}, o.MaxRequests)}
}

// Run acts as the controller whenever this broker leads, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lead, changed := c.o.Store.Leadership()
		if !lead.Self {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if err := c.serveTerm(ctx, lead.Term); err != nil {
			c.o.Logger.Warn("cannot act as controller yet", slog.String("error", err.Error()))
			pause.For(ctx, retryPause) // the loop sees the end of ctx
		}
	}
	return nil
}

// serveTerm acts until the leadership of that term or ctx ends. An error means
// that it could not begin.
func (c *Controller) serveTerm(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		c.awaitEnd(ctx, number)
	}()
	defer func() { cancel(); <-watched }()
	// Without the barrier the image could lack what an earlier leader decided
	// (R11).
	if err := c.o.Store.Barrier(ctx); err != nil {
		return orNil(ctx, err)
	}
	if err := c.initCluster(ctx); err != nil {
		return orNil(ctx, err)
	}
	t := newTerm(c.o)
	c.term.Store(t)
	defer c.term.Store(nil)
	c.o.Logger.Info("acting as controller", slog.Uint64("term", number))
	t.run(ctx)
	c.o.Logger.Info("not the controller any more", slog.Uint64("term", number))
	return nil
}

// orNil drops an error that only says that the term is over.
func orNil(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// awaitEnd returns when this broker does not lead in that term any more, or
// when ctx ends.
func (c *Controller) awaitEnd(ctx context.Context, number uint64) {
	for {
		lead, changed := c.o.Store.Leadership()
		if !lead.Self || lead.Term != number {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// initCluster gives a new cluster its id.
func (c *Controller) initCluster(ctx context.Context) error {
	if c.o.Store.Image().ClusterID() != "" {
		return nil
	}
	id, err := cluster.NewUUID(rand.Reader)
	if err != nil {
		return err
	}
	res, err := c.o.Store.Propose(ctx, cluster.InitCluster{ClusterID: id.String()})
	if err = cmp.Or(err, res.Err); err != nil {
		return fmt.Errorf("choose a cluster id: %w", err)
	}
	return nil
}
