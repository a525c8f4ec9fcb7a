package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Worker takes its share of a coordinator's runs, one run at a time, on the
// cluster that Target reaches. Whoever can connect can have it load that
// cluster: there is no authentication.
type Worker struct {
	Target Target
	// Cluster is the id of that cluster, so that nobody merges two.
	Cluster string
	Version string
	Logger  *slog.Logger

	busy sync.Mutex // held during a run
}

// ClusterID asks for the id of the cluster that a target is on.
func ClusterID(ctx context.Context, cfg Target) (string, error) {
	client, err := (&target{cfg: cfg.withDefaults()}).connect()
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return "", wrapSetup("ask for the brokers", err)
	}
	if metadata.Cluster == "" {
		return orUnknown(nil), nil
	}
	return metadata.Cluster, nil
}

// Serve answers coordinators until ctx ends.
func (w *Worker) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !w.busy.TryLock() {
			_ = link{conn: conn}.send(message{Kind: sayError, Text: "the worker is busy with another run"})
			_ = conn.Close()
			continue
		}
		sessions.Go(func() {
			defer w.busy.Unlock()
			defer func() { _ = conn.Close() }()
			if err := w.session(ctx, link{conn: conn}); err != nil {
				w.Logger.Warn("session ended", slog.String("coordinator", conn.RemoteAddr().String()), slog.Any("error", err))
			}
		})
	}
}

// session is one coordinator's run.
func (w *Worker) session(ctx context.Context, l link) error {
	hello, err := l.expect(sayHello)
	if err != nil {
		return err
	}
	if hello.Protocol != workerProtocol {
		text := fmt.Sprintf("this worker (%s) speaks protocol %d, the coordinator (%s) %d", w.Version, workerProtocol, hello.Version, hello.Protocol)
		return errors.Join(errors.New(text), l.send(message{Kind: sayError, Text: text}))
	}
	if err := l.send(message{Kind: sayHello, Protocol: workerProtocol, Version: w.Version, Cluster: w.Cluster}); err != nil {
		return err
	}
	base := time.Now()
	for {
		m, err := l.receive(planLimit, maxHelloMessage)
		switch {
		case err != nil:
			return err
		case m.Kind == sayClock:
			err = l.send(message{Kind: sayClock, Nanos: time.Since(base).Nanoseconds()})
		case m.Kind == sayPlan && m.Plan != nil:
			return w.work(ctx, l, base, m.Plan)
		default:
			err = fmt.Errorf("%w: it says %q before a plan", ErrProtocol, m.Kind)
		}
		if err != nil {
			return err
		}
	}
}

// work runs a plan. A second goroutine listens, so that stop is heard under
// load, and a third says that the worker is alive.
func (w *Worker) work(ctx context.Context, l link, base time.Time, plan *workPlan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &gate{base: base, link: l, starts: make(chan message), gone: make(chan struct{})}
	defer background(ctx, g.beAlive)() // also when the run has been stopped
	var listening sync.WaitGroup
	defer listening.Wait()
	defer func() { _ = l.conn.Close() }() // ends the listener
	listening.Go(func() { g.listen(ctx, cancel) })

	c := plan.config(w.Target)
	c.gate = g
	report, err := Run(ctx, c)
	if err != nil {
		return errors.Join(err, g.say(message{Kind: sayError, Text: err.Error()}))
	}
	result, err := pack(report, g.lanes, base)
	if err != nil {
		return errors.Join(err, g.say(message{Kind: sayError, Text: err.Error()}))
	}
	if err := g.say(message{Kind: sayResult, Result: result}); err != nil {
		return err
	}
	// To hang up first could cost the result, if there is a message that was not
	// read yet.
	rest, done := context.WithTimeout(context.WithoutCancel(ctx), messageLimit)
	defer done()
	select {
	case <-g.gone:
	case <-rest.Done():
	}
	return nil
}

// gate has the turns of all workers begin together. A nil gate lets everybody
// begin at once.
type gate struct {
	base   time.Time // of this worker's clock
	link   link
	starts chan message
	gone   chan struct{} // closed when the coordinator is
	lanes  []*lane       // of the run, for their histograms

	mu sync.Mutex // held while a message is written
}

func (g *gate) say(m message) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.link.send(m)
}

// meet waits until all workers are here, and returns when the turn begins and
// whether all voted for it. When the coordinator is gone, or wants no more, it
// returns at once: ctx has ended.
func (g *gate) meet(ctx context.Context, vote bool) (start time.Time, all bool) {
	if g == nil {
		return time.Now().Add(startDelay), vote
	}
	if err := g.say(message{Kind: sayReady, Vote: vote}); err == nil {
		select {
		case m := <-g.starts:
			return g.base.Add(time.Duration(m.Nanos)), m.Vote
		case <-ctx.Done():
		}
	}
	return time.Now(), false
}

// show notes the lanes of the run.
func (g *gate) show(lanes []*lane) {
	if g != nil {
		g.lanes = lanes
	}
}

// listen hands over the starts, and cancels when the coordinator wants no more
// or is gone.
func (g *gate) listen(ctx context.Context, cancel func()) {
	defer close(g.gone)
	defer cancel()
	for {
		m, err := g.link.receive(runLimit, maxHelloMessage)
		if err != nil {
			return
		}
		if m.Kind != sayGo {
			cancel()
			continue
		}
		select {
		case g.starts <- m:
		case <-ctx.Done():
		}
	}
}

func (g *gate) beAlive(ctx context.Context) {
	tick := time.NewTicker(aliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if g.say(message{Kind: sayAlive}) != nil {
				return
			}
		}
	}
}
