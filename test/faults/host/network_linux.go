package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Client is the host that the test itself is on.
const Client = 254

// MaxHosts is how many hosts there can be beside the client.
const MaxHosts = 100

const (
	namedNamespaces = "/run/netns" // where ip keeps them
	switchSpace     = "switch"     // the namespace of the bridge
	bridgeName      = "bridge"
)

// Address returns the IP address of a host.
func Address(host int) string { return fmt.Sprintf("10.77.0.%d", host) }

// Network is hosts 1 to n and the client on one bridge. Faults are put on it
// at any time, from any goroutine; they concern connections that exist as well
// as new ones. A fault that cannot be made fails the test.
//
// Every fault returns what ends it, alone, and [Network.Heal] ends all. Both are
// done when they return.
type Network struct {
	t     testing.TB
	hosts int
	own   *os.File         // the test's namespace
	space map[int]*os.File // those of the others; 0 is the switch
	names *names

	mu     sync.Mutex
	drops  map[int]drop   // guarded by mu; by number, so that they have an order
	last   int            // guarded by mu; number of the last fault
	rates  map[int]int    // guarded by mu; host to the fault that is on it
	cables map[int]*cable // guarded by mu; by host
}

// NewNetwork makes a network of hosts 1 to n and the client, which ends with
// the test. There is one at a time: the test is on one network only.
func NewNetwork(t testing.TB, hosts int) *Network {
	t.Helper()
	if os.Getenv(stageVariable) != stageTests {
		t.Fatal("TestMain has to call host.Main")
	}
	if hosts < 1 || hosts > MaxHosts {
		t.Fatalf("%d hosts: want 1 to %d", hosts, MaxHosts)
	}
	n := &Network{
		t: t, hosts: hosts,
		space: map[int]*os.File{}, drops: map[int]drop{}, rates: map[int]int{}, cables: map[int]*cable{},
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Errorf("remove the network: %v", err)
		}
	})
	if err := n.build(); err != nil {
		t.Fatalf("make a network: %v", err)
	}
	return n
}

// spaceName is the name of a host's namespace.
func spaceName(host int) string { return fmt.Sprintf("host%d", host) }

// port is the name of the bridge's end of a host's cable.
func port(host int) string { return fmt.Sprintf("port%d", host) }

const device = "eth0" // a host's own end

// all lists the hosts with the client.
func (n *Network) all() []int {
	hosts := make([]int, 0, n.hosts+1)
	for h := range n.hosts {
		hosts = append(hosts, h+1)
	}
	return append(hosts, Client)
}

func (n *Network) build() (err error) {
	if n.own, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	var script strings.Builder
	fmt.Fprintf(&script, "netns add %s\n", switchSpace)
	for h := range n.hosts {
		fmt.Fprintf(&script, "netns add %s\n", spaceName(h+1))
	}
	for _, h := range n.all() {
		where := "netns " + spaceName(h)
		if h == Client {
			where = ""
		}
		fmt.Fprintf(&script, "link add %s %s type veth peer name %s netns %s\n", device, where, port(h), switchSpace)
	}
	if err := run(script.String(), "ip", "-batch", "-"); err != nil {
		return err
	}
	if err := n.open(0, switchSpace); err != nil {
		return err
	}
	if err := n.plug(); err != nil {
		return err
	}
	for h := range n.hosts {
		if err := n.open(h+1, spaceName(h+1)); err != nil {
			return err
		}
	}
	for _, h := range n.all() {
		if err := n.up(h); err != nil {
			return err
		}
	}
	n.names, err = newNames(n)
	return err
}

func (n *Network) open(host int, name string) error {
	f, err := os.Open(filepath.Join(namedNamespaces, name))
	n.space[host] = f
	return err
}

// plug connects every host's cable to the bridge.
func (n *Network) plug() error {
	var script strings.Builder
	fmt.Fprintf(&script, "link add %s type bridge\nlink set %s up\n", bridgeName, bridgeName)
	for _, h := range n.all() {
		fmt.Fprintf(&script, "link set %s master %s up\n", port(h), bridgeName)
	}
	return n.on(0, func() error { return run(script.String(), "ip", "-batch", "-") })
}

// up gives a host its address.
func (n *Network) up(h int) error {
	script := fmt.Sprintf("link set lo up\naddress add %s/24 dev %s\nlink set %s up\n", Address(h), device, device)
	return n.on(h, func() error { return run(script, "ip", "-batch", "-") })
}

func (n *Network) close() error {
	n.Heal()
	errs := []error{n.names.close()}
	// At once, not when the namespace of its other end is gone: the next test
	// makes one of the same name.
	errs = append(errs, run("", "ip", "link", "delete", device))
	for h, f := range n.space {
		name := spaceName(h)
		if h == 0 {
			name = switchSpace
		}
		errs = append(errs, f.Close(), run("", "ip", "netns", "delete", name))
	}
	return errors.Join(append(errs, n.own.Close())...)
}

// On runs f on a host: sockets that it opens and processes that it starts, but
// not from goroutines that it starts, are there, and stay there. f must not
// call On.
func (n *Network) On(host int, f func() error) error {
	if host != Client && (host < 1 || host > n.hosts) {
		return fmt.Errorf("no host %d among 1 to %d and the client", host, n.hosts)
	}
	return n.on(host, f)
}

func (n *Network) on(host int, f func() error) (err error) {
	if host == Client {
		return f()
	}
	runtime.LockOSThread()
	if err := unix.Setns(int(n.space[host].Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("go to %s: %w", spaceName(host), err)
	}
	defer func() {
		if back := unix.Setns(int(n.own.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread stays locked, and ends with the goroutine.
			err = errors.Join(err, fmt.Errorf("come back from %s: %w", spaceName(host), back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// Dialer returns a function that connects from a host, to IP addresses: give
// it to a client library, and the client is on that host.
func (n *Network) Dialer(host int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = n.On(host, func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// run runs a command, with its input, in the namespace of the calling thread.
func run(input, name string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
