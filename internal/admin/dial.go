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
}

// attempts dials, and remembers the last outcome at each address: "no broker
// answered" explains nothing, the four addresses and their errors do.
type attempts struct {
	timeout time.Duration
	tls     *tls.Config
	open    func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	order []string         // guarded by mu; addresses in the order first tried
	last  map[string]error // guarded by mu
}

func newAttempts(o Options) *attempts {
	return &attempts{timeout: o.DialTimeout, tls: o.TLS, open: o.Dial, last: make(map[string]error)}
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
		all = append(all, Attempt{Address: address, Err: a.last[address]})
	}
	return all
}

// failed returns the last error at address, if dialling it failed last time.
func (a *attempts) failed(address string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[address]
}

// strangers returns failed addresses that are not seeds: a broker answered
// and advertised an address that this machine cannot reach.
func strangers(tried []Attempt, seeds []string) []Attempt {
	return slices.DeleteFunc(slices.Clone(tried), func(t Attempt) bool {
		return t.Err == nil || slices.Contains(seeds, t.Address)
	})
}
