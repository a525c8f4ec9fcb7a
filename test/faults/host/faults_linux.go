package host

import (
	"fmt"
	"time"
)

// Cut cuts two hosts from each other.
func (n *Network) Cut(a, b int) (end func()) {
	n.t.Helper()
	return n.lose(fmt.Sprintf("cut %d from %d", a, b), cutBetween([]int{a}, []int{b}), a, b)
}

// CutOneWay loses everything that one host sends to another; what comes back
// arrives.
func (n *Network) CutOneWay(from, to int) (end func()) {
	n.t.Helper()
	return n.lose(fmt.Sprintf("cut the way from %d to %d", from, to), drop{oneWay(from, to)}, from, to)
}

// CutPort loses what one host sends to a TCP port of another. Connections that
// the other makes are not concerned, whatever port they come from.
func (n *Network) CutPort(from, to, port int) (end func()) {
	n.t.Helper()
	return n.lose(fmt.Sprintf("cut the way from %d to port %d of %d", from, port, to), drop{toPort(from, to, port)}, from, to)
}

// Isolate cuts a host from others.
func (n *Network) Isolate(host int, from ...int) (end func()) {
	n.t.Helper()
	return n.lose(fmt.Sprintf("cut %d from %d", host, from), cutBetween([]int{host}, from), append(from, host)...)
}

// Partition separates groups of hosts from each other, all at once. A host in
// no group keeps its way to all: two groups without one host are a bridge.
func (n *Network) Partition(groups ...[]int) (end func()) {
	n.t.Helper()
	var hosts []int
	for _, group := range groups {
		hosts = append(hosts, group...)
	}
	return n.lose(fmt.Sprintf("partition %d", groups), partition(groups), hosts...)
}

// Ring leaves each of four or five hosts a majority of them, another one for
// each: those beside it, in the given order.
func (n *Network) Ring(hosts ...int) (end func()) {
	n.t.Helper()
	return n.lose(fmt.Sprintf("ring of %d", hosts), ring(hosts), hosts...)
}

// Lose loses a fraction, 0 to 1, of the packets that a host sends, and of those
// it is sent.
func (n *Network) Lose(host int, fraction float64) (end func()) {
	n.t.Helper()
	if fraction < 0 || fraction > 1 {
		n.t.Errorf("a loss of %g: want 0 to 1", fraction)
		return func() {}
	}
	return n.lose(fmt.Sprintf("lose %g of host %d", fraction, host), lossy(host, fraction), host)
}

// lose puts a fault on the bridge.
func (n *Network) lose(what string, d drop, hosts ...int) (end func()) {
	n.t.Helper()
	for _, h := range hosts {
		if h != Client && (h < 1 || h > n.hosts) {
			n.t.Errorf("%s: there is no host %d", what, h)
			return func() {}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	number := n.last
	n.drops[number] = d
	if err := n.setRules(); err != nil {
		delete(n.drops, number)
		n.t.Errorf("%s: %v", what, err)
		return func() {}
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, ok := n.drops[number]; ok { // or Heal was first
			delete(n.drops, number)
			n.check("end: "+what, n.setRules())
		}
	}
}

// setRules brings the bridge up to date. REQUIRES: n.mu is held.
func (n *Network) setRules() error {
	return n.on(0, func() error { return run(ruleset(n.drops), "nft", "-f", "-") })
}

// Rate bounds what a host sends, and what it is sent, to so many bits a second
// each. What does not fit into 200 ms of it is lost. It replaces an earlier
// rate of the host.
func (n *Network) Rate(host, bitsPerSecond int) (end func()) {
	n.t.Helper()
	what := fmt.Sprintf("rate of %d bit/s on host %d", bitsPerSecond, host)
	n.mu.Lock()
	defer n.mu.Unlock()
	// A burst of 10 ms, and of several frames at least.
	burst := max(bitsPerSecond/8/100, 8<<10)
	err := n.shape(host, "replace", "tbf", "rate", fmt.Sprintf("%dbit", bitsPerSecond),
		"burst", fmt.Sprint(burst), "latency", "200ms")
	if err != nil {
		n.t.Errorf("%s: %v", what, err)
		return func() {}
	}
	n.last++
	number := n.last
	n.rates[host] = number
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.rates[host] == number {
			n.check("end: "+what, n.unshape(host))
		}
	}
}

// shape changes the queues of both ends of a host's cable. REQUIRES: n.mu is held.
func (n *Network) shape(host int, change string, queue ...string) error {
	command := func(dev string) error {
		return run("", "tc", append([]string{"qdisc", change, "dev", dev, "root"}, queue...)...)
	}
	if err := n.On(host, func() error { return command(device) }); err != nil {
		return err
	}
	return n.on(0, func() error { return command(port(host)) })
}

// unshape ends a rate. REQUIRES: n.mu is held.
func (n *Network) unshape(host int) error {
	delete(n.rates, host)
	return n.shape(host, "delete")
}

// Delay holds back what a host sends, and what it is sent, by d each, give or
// take up to jitter; the order stays. The round trip is longer by 2d. It changes
// an earlier delay of the host.
//
// Frames pass through this process then: some 40 MB/s are possible.
func (n *Network) Delay(host int, d, jitter time.Duration) (end func()) {
	n.t.Helper()
	what := fmt.Sprintf("delay of %v±%v on host %d", d, jitter, host)
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.cables[host]
	if c == nil {
		var err error
		if c, err = n.insertCable(host); err != nil {
			n.t.Errorf("%s: %v", what, err)
			return func() {}
		}
		n.cables[host] = c
	}
	c.set(d, jitter)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.cables[host] == c {
			n.check("end: "+what, n.removeCable(host))
		}
	}
}

// Heal ends all faults.
func (n *Network) Heal() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.drops) > 0 {
		clear(n.drops)
		n.check("heal", n.setRules())
	}
	for host := range n.rates {
		n.check("heal", n.unshape(host))
	}
	for host := range n.cables {
		n.check("heal", n.removeCable(host))
	}
}

// check fails the test, from any goroutine.
func (n *Network) check(what string, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Errorf("%s: %v", what, err)
	}
}
