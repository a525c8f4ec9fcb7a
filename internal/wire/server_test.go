package wire

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestStoppingServesWhatIsDue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		keptIn   time.Duration
		answered bool
		want     time.Duration
	}{
		{name: "reply comes in time", keptIn: 300 * time.Millisecond, answered: true, want: 300 * time.Millisecond},
		{name: "reply takes too long", keptIn: time.Hour, answered: false, want: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := make(promise, 1)
				s := start(t, Options{DrainTimeout: time.Second},
					func(context.Context, *Request) (Reply, error) { return p, nil })
				c := s.dial()
				c.ask(1)
				kept := time.AfterFunc(tt.keptIn, func() { p <- answer() })
				defer kept.Stop()
				answered := make(chan bool, 1)
				go func() {
					_, err := c.frame()
					answered <- err == nil
				}()
				synctest.Wait()
				if took := s.stopped(); took != tt.want {
					t.Errorf("stopped after %v, want %v", took, tt.want)
				}
				if got := <-answered; got != tt.answered {
					t.Errorf("answered %v, want %v", got, tt.answered)
				}
			})
		})
	}
}

// Whatever a connection is doing, stopping the server ends it within the drain
// timeout and leaves no goroutine behind: synctest fails if one is left.
func TestStoppingEndsEveryConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{DrainTimeout: time.Second, MaxInflight: 1, RequestBytes: 1, MaxFrameBytes: 1 << 20},
			func(ctx context.Context, req *Request) (Reply, error) {
				switch req.CorrelationID {
				case 98, 99:
					<-ctx.Done() // a handler that waits for room
				}
				if req.CorrelationID == 99 {
					return nil, ctx.Err()
				}
				return Now(answer()), nil
			})
		s.dial() // says nothing
		s.dial().Write(question(1)[:7])
		s.dial().ask(1)  // does not read
		s.dial().ask(99) // stuck in the handler
		for range 10 {
			s.dial().ask(98) // stuck, and goes on to read when the stop has begun
		}
		flood := s.dial()
		go func() {
			for id := int32(0); ; id++ { // until closed
				if _, err := flood.Write(question(id)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if took := s.stopped(); took > time.Second {
			t.Errorf("stopped after %v, want the drain timeout at most", took)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{MaxConns: 1},
			func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
		first, second := s.dial(), s.dial()
		if got := second.closedAfter(); got != 0 {
			t.Errorf("second connection closed after %v, want at once", got)
		}
		first.ask(1)
		first.next()
		first.Close()
		synctest.Wait()
		third := s.dial()
		third.ask(3)
		if got := third.next(); got != 3 {
			t.Errorf("response %d arrived, want 3", got)
		}
		s.stopped()
	})
}

// failing is a listener that cannot accept for a while.
type failing struct {
	*pipes
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, errors.New("too many open files")
	}
	return f.pipes.Accept()
}

func TestServeOutlivesFailedAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := &failing{pipes: newPipes(), failures: 12}
		h := handlerFunc(func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
		ctx, cancel := context.WithCancel(t.Context())
		s := &harness{t: t, listener: listener.pipes, stop: cancel, served: make(chan error, 1)}
		server := New(Options{Listener: listener, Handler: h})
		go func() { s.served <- server.Serve(ctx) }()
		began := time.Now()
		c := s.dial()
		if waited := time.Since(began); waited < maxAcceptPause {
			t.Errorf("accepted after %v: the pauses between failures do not grow", waited)
		}
		c.ask(1)
		c.next()
		s.stopped()
	})
}

func TestServeReturnsWhenTheListenerIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
		c := s.dial()
		s.listener.Close()
		if err := <-s.served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v, want net.ErrClosed", err)
		}
		c.closedAfter()
		s.stop()
	})
}
