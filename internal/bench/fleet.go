package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// WorkerReport is one load machine of a run.
type WorkerReport struct {
	Address string `json:"address"`
	Version string `json:"version"`
	// RTTMicros is the shortest round trip that was seen; the start was common to
	// half of it, ClockMicros.
	RTTMicros   float64   `json:"rtt_us"`
	ClockMicros float64   `json:"clock_accuracy_us"`
	Lateness    Quantiles `json:"lateness_us"`
	Valid       bool      `json:"valid"`
	// Lost is why the worker's share is missing; nil when it is not.
	Lost *string `json:"lost"`
}

// member is a worker as its coordinator sees it.
type member struct {
	address string
	version string
	link    link
	began   time.Time     // zero of offset, here
	offset  time.Duration // what the worker's clock said then
	rtt     time.Duration
	result  *workResult
	lost    error
}

// said is a message of a member, or why there will be no more.
type said struct {
	from *member
	message
	err error
}

// join connects to a worker and compares clocks.
func join(ctx context.Context, address, version, cluster string) (*member, error) {
	dialer := net.Dialer{Timeout: helloLimit}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("worker %s: %w: %w", address, ErrUnreachable, err)
	}
	w := &member{address: address, link: link{conn: conn}, rtt: time.Hour}
	if err := w.greet(version, cluster); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("worker %s: %w", address, err)
	}
	return w, nil
}

func (w *member) greet(version, cluster string) error {
	if err := w.link.send(message{Kind: sayHello, Protocol: workerProtocol, Version: version}); err != nil {
		return err
	}
	hello, err := w.link.expect(sayHello)
	switch {
	case err != nil:
		return err
	case hello.Protocol != workerProtocol:
		return fmt.Errorf("%w: %s speaks protocol %d, want %d", ErrProtocol, hello.Version, hello.Protocol, workerProtocol)
	case hello.Cluster != cluster:
		return fmt.Errorf("%w: it loads cluster %s, this is %s", ErrConfig, hello.Cluster, cluster)
	}
	w.version = hello.Version
	for range clockSamples {
		sent := time.Now()
		if err := w.link.send(message{Kind: sayClock}); err != nil {
			return err
		}
		m, err := w.link.expect(sayClock)
		if err != nil {
			return err
		}
		if rtt := time.Since(sent); rtt < w.rtt {
			w.rtt, w.began, w.offset = rtt, sent.Add(rtt/2), time.Duration(m.Nanos)
		}
	}
	return nil
}

// theirs is a time here as the worker's clock has it, and ours the opposite.
func (w *member) theirs(t time.Time) int64 { return (w.offset + t.Sub(w.began)).Nanoseconds() }

func (w *member) ours(nanos int64) time.Time { return w.began.Add(time.Duration(nanos) - w.offset) }

// hear forwards what the worker says until it is done.
func (w *member) hear(ctx context.Context, to chan<- said) {
	for {
		m, err := w.link.receive(silenceLimit, maxMessage)
		if m.Kind == sayAlive && err == nil {
			continue
		}
		select {
		case to <- said{from: w, message: m, err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil || m.Kind == sayResult {
			return
		}
	}
}

// conduct has all members begin their turns together until each has a result or
// is lost. When one is lost, or ctx ends, the others are asked for what they have.
func conduct(ctx context.Context, members []*member, heard <-chan said) {
	ready := map[*member]bool{}
	all, stopped := true, ctx.Done()
	left := len(members)
	stop := func() {
		for _, w := range members {
			_ = w.link.send(message{Kind: sayStop}) // who does not hear it is lost in any case
		}
	}
	for left > 0 {
		select {
		case <-stopped:
			stopped = nil
			stop()
			continue
		case s := <-heard:
			switch {
			case s.err != nil:
				s.from.lost = s.err
				left--
				stop()
			case s.Kind == sayResult:
				s.from.result = s.Result
				left--
			case s.Kind == sayReady:
				ready[s.from] = true
				all = all && s.Vote
			}
		}
		if len(ready) == len(members) {
			begin(members, all)
			ready, all = map[*member]bool{}, true
		}
	}
}

// begin gives all members the same start, far enough ahead for all to hear of it.
func begin(members []*member, all bool) {
	slowest := slices.MaxFunc(members, func(a, b *member) int { return int(a.rtt - b.rtt) })
	start := time.Now().Add(20*time.Millisecond + 4*slowest.rtt)
	for _, w := range members {
		if err := w.link.send(message{Kind: sayGo, Nanos: w.theirs(start), Vote: all}); err != nil {
			w.lost = errors.Join(w.lost, err) // hear says so as well
		}
	}
}
