package admin

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"
)

// Attempt is one address that was dialled, and how that ended.
type Attempt struct {
	Address string
	Err     error // nil: connected
	Answer  error // why a connection led to no answer; nil when Err is set
}

// attempts dials, and remembers the last outcome at each address: "no broker
// answered" explains nothing, the four addresses and their errors do.
type attempts struct {
	timeout time.Duration
	tls     *tls.Config
	open    func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	order []string         // guarded by mu; addresses in the order first tried
	last  map[string]error // guarded by mu; how dialling ended
	said  map[string]error // guarded by mu; how the request after it ended
}

func newAttempts(o Options) *attempts {
	return &attempts{timeout: o.DialTimeout, tls: o.TLS, open: o.Dial, last: make(map[string]error), said: make(map[string]error)}
}

func (a *attempts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	conn, err := a.open(ctx, network, address)
	if err == nil && a.tls != nil {
		conn, err = a.handshake(ctx, conn, address)
	}
	a.note(address, err)
	return conn, err
}

func (a *attempts) handshake(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	config := a.tls.Clone()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake error is the one that explains
		return nil, err
	}
	return secure, nil
}

func (a *attempts) note(address string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, seen := a.last[address]; !seen {
		a.order = append(a.order, address)
	}
	a.last[address] = err
}

// list returns what was tried, in order.
func (a *attempts) list() []Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Attempt, 0, len(a.order))
	for _, address := range a.order {
		attempt := Attempt{Address: address, Err: a.last[address]}
		if attempt.Err == nil {
			attempt.Answer = a.said[address]
		}
		all = append(all, attempt)
	}
	return all
}

// answered notes why a request to address failed.
func (a *attempts) answered(address string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said[address] = err
}

// strangers returns failed addresses that are not seeds: a broker answered
// and advertised an address that this machine cannot reach.
func strangers(tried []Attempt, seeds []string) []Attempt {
	return slices.DeleteFunc(slices.Clone(tried), func(t Attempt) bool {
		return t.Err == nil || slices.Contains(seeds, t.Address)
	})
}
