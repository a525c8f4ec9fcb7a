package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Bootstrap returns the client addresses of all brokers.
func (c *Cluster) Bootstrap() []string {
	addresses := make([]string, len(c.layout))
	for i, b := range c.layout {
		addresses[i] = b.Address
	}
	return addresses
}

// Dir returns the directory of data and logs.
func (c *Cluster) Dir() string { return c.dir }

// Keep makes Close leave a temporary directory behind: somebody wants to look
// at the logs.
func (c *Cluster) Keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.temporary = false
}

// Brokers returns all brokers, by index.
func (c *Cluster) Brokers() []Broker {
	c.mu.Lock()
	defer c.mu.Unlock()
	brokers := make([]Broker, len(c.layout))
	for i, b := range c.layout {
		if p := c.processes[i]; p != nil && !p.ended() {
			b.PID = p.pid()
		}
		brokers[i] = b
	}
	return brokers
}

// Index returns the index of the broker with an id.
func (c *Cluster) Index(id int) (int, bool) {
	for i, b := range c.layout {
		if b.ID == id {
			return i, true
		}
	}
	return 0, false
}

// Exited returns a channel that is closed when the broker's process ends. It
// is nil for a broker that does not run.
func (c *Cluster) Exited(i int) <-chan struct{} {
	p, err := c.running(i)
	if err != nil {
		return nil
	}
	return p.done
}

// Wait waits until a broker ends by itself, and returns how it did.
func (c *Cluster) Wait(ctx context.Context, i int) (*os.ProcessState, error) {
	p, err := c.running(i)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.done:
		return p.cmd.ProcessState, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("broker %d: %w", c.layout[i].ID, context.Cause(ctx))
	}
}

// Kill ends a broker as a crash would (SIGKILL), and returns once it is gone.
func (c *Cluster) Kill(i int) error {
	return c.end(i, func(p *process) error { return p.kill() })
}

// Stop asks a broker to stop, and kills it when ctx ends first or it takes
// longer than StopTimeout, which is an error.
func (c *Cluster) Stop(ctx context.Context, i int) error {
	return c.end(i, func(p *process) error { return p.stop(ctx, c.options.StopTimeout) })
}

// end lets how end the process, and forgets it.
func (c *Cluster) end(i int, how func(*process) error) error {
	p, err := c.running(i)
	if err != nil {
		return err
	}
	if err := how(p); err != nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.processes[i] == p {
		c.processes[i] = nil
	}
	return nil
}

// Pause freezes a broker (SIGSTOP): it keeps its connections and says nothing.
func (c *Cluster) Pause(i int) error { return c.signal(i, (*process).pause) }

// Resume lets a frozen broker go on.
func (c *Cluster) Resume(i int) error { return c.signal(i, (*process).resume) }

// Isolate cuts a broker off from the others until Heal: nothing passes, in either
// direction, and nothing is refused. Clients still reach it.
func (c *Cluster) Isolate(i int) error { return c.setLinks(i, true, 0) }

// Delay has everything between a broker and the others take longer, by d in each
// direction, until Heal.
func (c *Cluster) Delay(i int, d time.Duration) error { return c.setLinks(i, false, d) }

// Heal undoes Isolate and Delay. What was sent meanwhile arrives.
func (c *Cluster) Heal(i int) error { return c.setLinks(i, false, 0) }

func (c *Cluster) setLinks(i int, cut bool, delay time.Duration) error {
	if i < 0 || i >= len(c.layout) {
		return fmt.Errorf("broker index %d: the cluster has %d brokers", i, len(c.layout))
	}
	if c.links == nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, ErrNoLinks)
	}
	c.links.set(i, cut, delay)
	return nil
}

func (c *Cluster) signal(i int, send func(*process) error) error {
	p, err := c.running(i)
	if err != nil {
		return err
	}
	if err := send(p); err != nil {
		return fmt.Errorf("broker %d: %w", c.layout[i].ID, err)
	}
	return nil
}

// Restart starts a broker that was killed or stopped, or that died, and
// returns once it serves.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	if p, err := c.running(i); err == nil && p.ended() {
		if err := c.Kill(i); err != nil { // it died by itself: this forgets it
			return err
		}
	}
	if err := c.Launch(i); err != nil {
		return err
	}
	return c.AwaitReady(ctx, i)
}

// Close stops all brokers at once, waits for them, and removes the directory
// if it is a temporary one. When ctx ends first they are killed instead. It is
// safe to call twice.
func (c *Cluster) Close(ctx context.Context) error {
	c.mu.Lock()
	already, remove := c.closed, c.temporary
	c.closed = true
	c.mu.Unlock()
	if already {
		return nil
	}
	errs := make([]error, len(c.processes))
	var wg sync.WaitGroup
	for i := range c.processes {
		wg.Go(func() {
			if err := c.Stop(ctx, i); err != nil && !errors.Is(err, ErrStopped) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	if c.links != nil {
		errs = append(errs, c.links.close())
	}
	errs = append(errs, c.ports.Close())
	if remove {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
