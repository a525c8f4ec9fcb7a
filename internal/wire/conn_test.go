package wire

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRepliesLeaveInTheOrderOfTheRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		promises := map[int32]promise{}
		s := start(t, Options{}, func(_ context.Context, req *Request) (Reply, error) {
			p := make(promise, 1)
			promises[req.CorrelationID] = p
			return p, nil
		})
		c := s.dial()
		for id := range int32(3) {
			c.ask(id)
		}
		synctest.Wait() // all three were handled although none is answered
		if len(promises) != 3 {
			t.Fatalf("%d requests handled, want 3", len(promises))
		}
		for id := int32(2); id >= 0; id-- { // kept in the wrong order
			promises[id] <- answer()
		}
		for want := range int32(3) {
			if got := c.next(); got != want {
				t.Errorf("response %d arrived, want %d", got, want)
			}
		}
		s.stopped()
	})
}

func TestNothingIsSentForANilResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, func(_ context.Context, req *Request) (Reply, error) {
			if req.CorrelationID == 1 {
				return Now(nil), nil
			}
			return Func(func(context.Context) (kmsg.Response, error) { return answer(), nil }), nil
		})
		c := s.dial()
		c.ask(1)
		c.ask(2)
		if got := c.next(); got != 2 {
			t.Errorf("response %d arrived, want 2", got)
		}
		s.stopped()
	})
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const inflight = 4
		handled := 0
		first := make(promise, 1)
		s := start(t, Options{MaxInflight: inflight}, func(_ context.Context, req *Request) (Reply, error) {
			handled++
			if req.CorrelationID == 0 {
				return first, nil
			}
			return Now(answer()), nil
		})
		c := s.dial()
		const requests = 20
		go func() {
			for id := range int32(requests) {
				c.ask(id)
			}
		}()
		synctest.Wait()
		// One is waited for, inflight are queued, one was handled and waits for a
		// place in the queue.
		if want := inflight + 2; handled != want {
			t.Errorf("%d requests handled while none is answered, want %d", handled, want)
		}
		first <- answer()
		for want := range int32(requests) {
			if got := c.next(); got != want {
				t.Fatalf("response %d arrived, want %d", got, want)
			}
		}
		s.stopped()
	})
}

func TestConnectionsThatDoNotTalkAreClosed(t *testing.T) {
	t.Parallel()
	opts := Options{
		HandshakeTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute,
		FrameTimeout: 30 * time.Second, WriteTimeout: 20 * time.Second, DrainTimeout: time.Second,
	}
	tests := []struct {
		name string
		talk func(c *client)
		want time.Duration
	}{
		{name: "nothing ever", talk: func(*client) {}, want: 10 * time.Second},
		{name: "idle after a request", want: 10 * time.Minute, talk: func(c *client) {
			c.ask(1)
			c.next()
		}},
		{name: "half a length prefix", want: 30 * time.Second, talk: func(c *client) {
			c.Write(question(1)[:2])
		}},
		{name: "half a frame", want: 30 * time.Second, talk: func(c *client) {
			c.Write(question(1)[:9])
		}},
		{name: "half a second frame", want: 30 * time.Second, talk: func(c *client) {
			c.ask(1)
			c.next()
			c.Write(question(2)[:9])
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, opts, func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
				c := s.dial()
				tt.talk(c)
				if got := c.closedAfter(); got != tt.want {
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
				s.stopped()
			})
		})
	}
}

func TestAClientThatDoesNotReadIsDisconnected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{WriteTimeout: 20 * time.Second, MaxInflight: 2},
			func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
		c := s.dial()
		began := time.Now()
		for id := int32(0); ; id++ {
			if _, err := c.Write(question(id)); err != nil {
				break // the queue of replies filled, then the server gave up
			}
		}
		if got, want := time.Since(began), 20*time.Second; got != want {
			t.Errorf("disconnected after %v, want %v", got, want)
		}
		s.stopped()
	})
}

func TestALongReplyIsNotIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{IdleTimeout: time.Second}, func(context.Context, *Request) (Reply, error) {
			return Func(func(context.Context) (kmsg.Response, error) {
				<-time.After(time.Minute)
				return answer(), nil
			}), nil
		})
		c := s.dial()
		c.ask(1)
		if got := c.next(); got != 1 {
			t.Errorf("response %d arrived, want 1", got)
		}
		s.stopped()
	})
}

func TestRepliesBeforeABrokenRequestStillLeave(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		broken []byte
	}{
		{name: "oversized frame", broken: []byte{0x7f, 0xff, 0xff, 0xff}},
		{name: "negative frame size", broken: []byte{0xff, 0xff, 0xff, 0xff}},
		{name: "http", broken: []byte("GET / HTTP/1.1\r\n\r\n")},
		{name: "tls", broken: []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}},
		{name: "empty frame", broken: []byte{0, 0, 0, 0}},
		{name: "unknown key", broken: []byte{0, 0, 0, 10, 0x70, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff}},
		{name: "key without a shape", broken: []byte{0, 0, 0, 10, 0, 11, 0, 0, 0, 0, 0, 9, 0xff, 0xff}},
		{name: "version that is not served", broken: []byte{0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 9, 0xff, 0xff}},
		{name: "body cut short", broken: []byte{0, 0, 0, 11, 0, 3, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0}},
		{name: "header cut short", broken: []byte{0, 0, 0, 10, 0, 3, 0, 0, 0, 0, 0, 9, 0, 9}},
		{name: "refused by the handler", broken: question(1000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, Options{DrainTimeout: time.Second}, func(_ context.Context, req *Request) (Reply, error) {
					if req.CorrelationID == 1000 {
						return nil, errors.New("refused")
					}
					return Func(func(context.Context) (kmsg.Response, error) {
						<-time.After(time.Second / 2)
						return answer(), nil
					}), nil
				})
				c := s.dial()
				c.ask(1)
				go c.Write(tt.broken)
				if got := c.next(); got != 1 {
					t.Errorf("response %d arrived, want 1", got)
				}
				if got := c.closedAfter(); got != 0 {
					t.Errorf("closed %v after the last reply, want at once", got)
				}
				s.stopped()
			})
		})
	}
}

func TestWaitsEndWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := start(t, Options{}, func(context.Context, *Request) (Reply, error) {
			return Func(func(ctx context.Context) (kmsg.Response, error) {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil, ctx.Err()
			}), nil
		})
		c := s.dial()
		c.ask(1)
		synctest.Wait()
		c.Close()
		synctest.Wait() // no time passes
		if len(ended) != 1 {
			t.Error("a reply is still waited for, for a client that is gone")
		}
		s.stopped()
	})
}

func TestAReplyThatFailsClosesTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, func(context.Context, *Request) (Reply, error) {
			return Func(func(context.Context) (kmsg.Response, error) { return nil, errors.New("failed") }), nil
		})
		c := s.dial()
		c.ask(1)
		if got := c.closedAfter(); got != 0 {
			t.Errorf("closed after %v, want at once", got)
		}
		s.stopped()
	})
}

// prompt is a reply that is there when it is asked for.
type prompt struct{ promise }

func (p prompt) Ready() bool { return len(p.promise) > 0 }

// writes counts the writes of a connection.
type writes struct {
	net.Conn
	sizes chan int
}

func (w writes) Write(p []byte) (int, error) {
	w.sizes <- len(p)
	return w.Conn.Write(p)
}

func TestRepliesThatAreThereLeaveTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var promises []prompt
		s := start(t, Options{}, func(context.Context, *Request) (Reply, error) {
			p := prompt{make(promise, 1)}
			promises = append(promises, p)
			return p, nil
		})
		ours, theirs := net.Pipe()
		counted := writes{theirs, make(chan int, 100)}
		s.listener.conns <- counted
		c := &client{t: t, Conn: ours}
		const requests = 6
		for id := range int32(requests) {
			c.ask(id)
		}
		synctest.Wait()
		for _, i := range []int{1, 2, 4, 5, 0} { // 3 is missing when 0 comes
			promises[i].promise <- answer()
		}
		for want := range int32(3) {
			if got := c.next(); got != want {
				t.Fatalf("response %d arrived, want %d", got, want)
			}
		}
		synctest.Wait()
		if n := len(counted.sizes); n != 1 {
			t.Errorf("three replies left in %d writes, want 1", n)
		}
		promises[3].promise <- answer()
		for want := int32(3); want < requests; want++ {
			if got := c.next(); got != want {
				t.Fatalf("response %d arrived, want %d", got, want)
			}
		}
		synctest.Wait()
		if n := len(counted.sizes); n != 2 {
			t.Errorf("six replies left in %d writes, want 2", n)
		}
		s.stopped()
	})
}

func TestAReplyThatIsThereDoesNotWaitForTheNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		next func() Reply
	}{
		{name: "which can tell", next: func() Reply { return prompt{make(promise, 1)} }},
		{name: "which cannot tell", next: func() Reply { return make(promise, 1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := make(promise, 1)
				s := start(t, Options{}, func(_ context.Context, req *Request) (Reply, error) {
					if req.CorrelationID == 0 {
						return first, nil
					}
					return tt.next(), nil
				})
				c := s.dial()
				c.ask(0)
				c.ask(1)
				synctest.Wait() // both are queued when the first one is there
				first <- answer()
				began := time.Now()
				if got := c.next(); got != 0 || time.Since(began) != 0 {
					t.Errorf("response %d arrived after %v, want 0 at once", got, time.Since(began))
				}
				s.stopped()
			})
		})
	}
}

// TestProducesLeaveRoomForOthers: however many wait with all they hold, a fetch is
// read, on any connection.
func TestProducesLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const produces, each = 20, 1000
		stay := make(chan struct{})
		var held, most atomic.Int32
		s := start(t, Options{RequestBytes: 10 * each}, func(_ context.Context, req *Request) (Reply, error) {
			if req.Key == produceKey {
				most.Store(max(most.Load(), held.Add(1)))
				<-stay
				held.Add(-1)
				return Now(kmsg.NewPtrProduceResponse()), nil
			}
			return Now(answer()), nil
		})
		req := kmsg.NewPtrProduceRequest()
		req.SetVersion(9)
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = "t"
		part := kmsg.NewProduceRequestTopicPartition()
		part.Records = make([]byte, each-100)
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
		clients := make([]*client, produces)
		for i := range clients {
			clients[i] = s.dial()
			go func() { _, _ = clients[i].Write(frame) }()
		}
		synctest.Wait()
		c, began := s.dial(), time.Now()
		c.ask(7)
		if got := c.next(); got != 7 || time.Since(began) > time.Second {
			t.Errorf("response %d after %v, want 7 at once", got, time.Since(began))
		}
		close(stay)
		for _, c := range clients {
			c.next()
		}
		if n := most.Load(); n < 6 || n > 8 {
			t.Errorf("%d produce requests at once, want three quarters of the budget", n)
		}
		s.stopped()
	})
}

func TestTheBudgetIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{MaxFrameBytes: 100, RequestBytes: 100},
			func(context.Context, *Request) (Reply, error) { return Now(answer()), nil })
		for range 3 {
			c := s.dial()
			for id := range int32(20) {
				c.ask(id)
				c.next()
			}
			go c.Write(question(99)[:9]) // and one that never ends
			synctest.Wait()
			c.Close()
		}
		s.stopped()
	})
}

// trackedReply notes when it is told that it was sent.
type trackedReply struct {
	promise
	sent *[]time.Time
}

func (r trackedReply) Sent(at time.Time) { *r.sent = append(*r.sent, at) }

// A reply is told once its response is on the socket, and the time is from
// before the write: a client that reads slowly is not the broker's wait.
func TestRepliesAreToldWhenTheyLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		kept := make(promise, 1)
		s := start(t, Options{}, func(context.Context, *Request) (Reply, error) { return trackedReply{kept, &sent}, nil })
		c := s.dial()
		c.ask(1)
		kept <- answer()
		due := time.Now()
		synctest.Wait()
		if len(sent) != 0 {
			t.Errorf("told before the client has taken a byte")
		}
		time.Sleep(time.Second) // of the bubble; the pipe has no buffer
		c.next()
		synctest.Wait()
		if len(sent) != 1 || !sent[0].Equal(due) {
			t.Errorf("sent %v, want once, at %v", sent, due)
		}
		c.ask(2)
		kept <- nil
		synctest.Wait()
		if len(sent) != 1 {
			t.Errorf("told of a response that there was not: %v", sent)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		s.stopped()
	})
}

// heldReply counts how often it lets go of its memory.
type heldReply struct {
	promise
	released *int
}

func (r heldReply) Release() { *r.released++ }

// A reply holds its memory until the client has taken the response, or is gone.
func TestRepliesHoldMemoryUntilTheyAreSent(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			released := 0
			kept := make(promise, 2)
			s := start(t, Options{}, func(context.Context, *Request) (Reply, error) { return heldReply{kept, &released}, nil })
			c := s.dial()
			c.ask(1)
			kept <- answer()
			synctest.Wait()
			if released != 0 {
				t.Errorf("gone: %t: released before the client has taken a byte", gone)
			}
			if gone {
				c.ask(2) // whose reply is never waited for
				_ = c.Close()
			} else {
				c.next()
			}
			synctest.Wait()
			if released != 1 {
				t.Errorf("gone: %t: released %d times, want once", gone, released)
			}
			if !gone {
				c.ask(3)
				kept <- nil // nothing is sent
				synctest.Wait()
				if released != 2 {
					t.Errorf("released %d times after a reply without response, want twice", released)
				}
			}
			_ = c.Close()
			s.stopped()
		})
	}
}

// A frame that is larger than the budget of all is read alone.
func TestALargeFrameIsReadAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan int32, 3)
		stay := make(chan struct{})
		s := start(t, Options{MaxFrameBytes: 1 << 20, RequestBytes: 10}, func(_ context.Context, req *Request) (Reply, error) {
			handled <- req.CorrelationID
			<-stay
			return Now(answer()), nil
		})
		clients := []*client{s.dial(), s.dial()}
		for i, c := range clients {
			go func() { _, _ = c.Write(question(int32(i))) }()
		}
		synctest.Wait()
		if len(handled) != 1 {
			t.Errorf("%d requests of more than the budget at once, want one", len(handled))
		}
		close(stay)
		for _, c := range clients {
			c.next()
		}
		s.stopped()
	})
}
