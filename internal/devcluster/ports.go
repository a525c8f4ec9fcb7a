package devcluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are chosen below every system's ephemeral range. A port from inside it
// could be taken, while its broker is down, by any outgoing connection, even by
// a peer's own attempt to reach it.
const (
	firstPort = 20000
	lastPort  = 29999
)

// blockPorts is how many ports are claimed together. The first of them is
// listened on for as long as the claim lasts: that is the claim, and the system
// withdraws it when the process dies.
const blockPorts = 50

// errNoPorts means that too much of the range is in use.
var errNoPorts = fmt.Errorf("no free ports between %d and %d", firstPort, lastPort)

// Ports hands out loopback addresses for brokers, each once. No two Ports on a
// machine hand out the same one while both are open, whatever processes they
// are in and whether or not anybody listens there yet. It is safe for
// concurrent use.
type Ports struct {
	mu     sync.Mutex
	claims []net.Listener // guarded by mu
	next   int            // guarded by mu; the next port of the last claim's block
	end    int            // guarded by mu; one past that block
}

// Address returns an address that nobody listens on.
func (p *Ports) Address(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for ; p.next < p.end; p.next++ {
			listener, err := listen(ctx, p.next)
			if err != nil {
				continue // of a program that knows nothing of blocks
			}
			address := listener.Addr().String()
			p.next++
			return address, listener.Close()
		}
		if err := p.claim(ctx); err != nil {
			return "", err
		}
	}
}

// claim takes another block: the first free one from a random place on.
func (p *Ports) claim(ctx context.Context) error {
	const blocks = (lastPort - firstPort + 1) / blockPorts
	last := errNoPorts
	for i, start := 0, rand.IntN(blocks); i < blocks; i++ {
		first := firstPort + (start+i)%blocks*blockPorts
		guard, err := listen(ctx, first)
		if err != nil {
			last = errors.Join(errNoPorts, err)
			continue
		}
		p.claims, p.next, p.end = append(p.claims, guard), first+1, first+blockPorts
		return nil
	}
	return last
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// Close gives the addresses back: nobody may use them any more.
func (p *Ports) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, guard := range p.claims {
		errs = append(errs, guard.Close())
	}
	p.claims, p.next, p.end = nil, 0, 0
	return errors.Join(errs...)
}
