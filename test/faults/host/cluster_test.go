//go:build faults && linux

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// proc reads a file that the kernel has of a broker's process.
func proc(t *testing.T, c *Cluster, i int, file string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.Brokers()[i].PID, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func proved(t *testing.T, what, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%s: no %q in\n%s", what, want, text)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSignalsMeetTheBroker: the process that the cluster knows is the broker.
func TestSignalsMeetTheBroker(t *testing.T) {
	n := NewNetwork(t, 1)
	c := Start(t, n, Options{})
	executable, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.Brokers()[0].PID))
	if err != nil || executable != harness.Binary() {
		t.Errorf("it runs %s, want %s (%v)", executable, harness.Binary(), err)
	}
	must(t, c.Pause(0))
	harness.Await(harness.Within(t, arriveLimit), t, "SIGSTOP", func(context.Context) error {
		if text := proc(t, c, 0, "status"); !strings.Contains(text, "State:\tT") {
			return errors.New(text)
		}
		return nil
	})
	if !c.Alive(0) {
		t.Error("a frozen broker is not alive")
	}
	must(t, c.Resume(0))
	must(t, syscall.Kill(c.Brokers()[0].PID, syscall.SIGKILL))
	state, err := c.Wait(t.Context(), 0)
	if err != nil || state.String() != "signal: killed" || c.Alive(0) {
		t.Errorf("after SIGKILL: %v, %v, alive %v", state, err, c.Alive(0))
	}
	must(t, c.Restart(t.Context(), 0))
	must(t, c.Stop(t.Context(), 0))
	if _, err := c.Wait(t.Context(), 0); !errors.Is(err, devcluster.ErrStopped) {
		t.Errorf("Wait for a stopped broker: %v", err)
	}
}

// TestOptionsReachTheBroker reads them from the kernel.
func TestOptionsReachTheBroker(t *testing.T) {
	n := NewNetwork(t, 2)
	dirs := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	c := Start(t, n, Options{
		DataDirs: dirs, OpenFiles: 321, Memory: 1 << 30,
		Env: []string{"CHRONIK_RACK=attic"}, Args: []string{"--drain-timeout", "3s"},
		BrokerArgs: func(id int) []string { return []string{"--memory", fmt.Sprintf("%dMiB", 64+id)} },
	})
	for i, dir := range dirs {
		line := strings.ReplaceAll(proc(t, c, i, "cmdline"), "\x00", " ")
		proved(t, "arguments", line, fmt.Sprintf("--memory %dMiB", 65+i))
		proved(t, "arguments", line, "--drain-timeout 3s")
		proved(t, "arguments", line, "--data-dir "+dir+" ")
		proved(t, "arguments", line, fmt.Sprintf("--listen 10.77.0.%d:9092", i+1))
		proved(t, "environment", proc(t, c, i, "environ"), "CHRONIK_RACK=attic")
		proved(t, "limits", strings.Join(strings.Fields(proc(t, c, i, "limits")), " "), "Max open files 321 321 files")
		proved(t, "group", proc(t, c, i, "cgroup"), fmt.Sprintf("/broker-%d", i+1))
		if text := proc(t, c, i, "environ"); strings.Contains(text, stageVariable) || strings.Contains(text, placeVariable) {
			t.Error("the broker sees variables of this package")
		}
		if _, err := os.Stat(filepath.Join(dir, "meta.json")); err != nil {
			t.Error(err)
		}
	}
	if count, err := c.OutOfMemory(0); err != nil || count != 0 {
		t.Errorf("out of memory %d times, %v", count, err)
	}
}

// TestMemoryIsLimited: 4 MB are too little for any broker.
func TestMemoryIsLimited(t *testing.T) {
	c := Prepare(t, NewNetwork(t, 1), Options{Memory: 4 << 20})
	must(t, c.Launch(0))
	state, err := c.Wait(harness.Within(t, 20*time.Second), 0)
	if err != nil || state.String() != "signal: killed" {
		t.Errorf("it ended with %v, %v; want signal: killed", state, err)
	}
	if count, err := c.OutOfMemory(0); err != nil || count != 1 {
		t.Errorf("out of memory %d times, %v; want once", count, err)
	}
}

// TestBrokersCanBeCutOff from the client, which is this process.
func TestBrokersCanBeCutOff(t *testing.T) {
	n := NewNetwork(t, 1)
	c := Start(t, n, Options{})
	dial := func(limit time.Duration) error {
		conn, err := (&net.Dialer{}).DialContext(harness.Within(t, limit), "tcp", c.Bootstrap()[0])
		if err == nil {
			conn.Close()
		}
		return err
	}
	must(t, dial(arriveLimit))
	n.Cut(1, Client)
	if dial(quietFor) == nil {
		t.Error("the client comes through the cut")
	}
	n.Heal()
	must(t, dial(arriveLimit))
}

// TestAnotherBinary is how brokers are upgraded, and broken on purpose.
func TestAnotherBinary(t *testing.T) {
	c := Start(t, NewNetwork(t, 1), Options{})
	other := filepath.Join(t.TempDir(), "another")
	must(t, os.Link(harness.Binary(), other))
	must(t, c.Kill(0))
	c.SetBinary(0, other)
	must(t, c.Restart(t.Context(), 0))
	if line := proc(t, c, 0, "cmdline"); !strings.HasPrefix(line, other+"\x00") {
		t.Errorf("it runs %s, want %s", line, other)
	}
}

// TestAnUnmountedDiskIsUnmountedForAllBrokers: a disk that stayed mounted for
// one would not lose what its own broker has not synced.
func TestAnUnmountedDiskIsUnmountedForAllBrokers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o755))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	mounted := true
	t.Cleanup(func() {
		if mounted {
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	c := Start(t, NewNetwork(t, 1), Options{})
	proved(t, "mounts before", proc(t, c, 0, "mountinfo"), " "+dir+" ")
	must(t, unix.Unmount(dir, 0))
	mounted = false
	if text := proc(t, c, 0, "mountinfo"); strings.Contains(text, " "+dir+" ") {
		t.Errorf("the disk is still mounted for a broker:\n%s", text)
	}
}

// TestNamesResolveLate starts brokers that nobody knows the addresses of yet.
func TestNamesResolveLate(t *testing.T) {
	n := NewNetwork(t, 3)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return n.Dialer(2)(ctx, "udp4", "127.0.0.1:53")
	}}
	var unknown *net.DNSError
	if _, err := resolver.LookupHost(t.Context(), Name(1)); !errors.As(err, &unknown) || !unknown.IsNotFound {
		t.Fatalf("before it is known: %v, want that there is no such host", err)
	}
	c := Prepare(t, n, Options{Names: true})
	for i := range c.Brokers() {
		must(t, c.Launch(i))
	}
	harness.Await(harness.Within(t, 20*time.Second), t, "brokers that find nobody", func(context.Context) error {
		for _, b := range c.Brokers() {
			text, err := os.ReadFile(b.Log)
			if err != nil || !bytes.Contains(text, []byte("no such host")) {
				return fmt.Errorf("broker %d: %w in %s", b.ID, err, text)
			}
		}
		return nil
	})
	addresses := map[string]string{}
	for i := range c.Brokers() {
		addresses[Name(i+1)] = Address(i + 1)
	}
	n.SetHosts(addresses)
	start := time.Now()
	for i := range c.Brokers() {
		must(t, c.AwaitReady(t.Context(), i))
	}
	t.Logf("ready %v after their names", time.Since(start).Round(time.Millisecond))
	if found, err := resolver.LookupHost(t.Context(), Name(3)); err != nil || !slices.Equal(found, []string{Address(3)}) {
		t.Errorf("%s is %v, %v", Name(3), found, err)
	}
}
