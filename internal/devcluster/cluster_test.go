package devcluster

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// startFake starts a cluster of fake brokers that ends with the test.
func startFake(t *testing.T, options Options) (*Cluster, error) {
	t.Helper()
	t.Setenv(fakeBroker, "serves")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each broker, under the race detector
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	c, err := Start(ctx, options)
	if err == nil {
		t.Cleanup(func() {
			if err := c.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	return c, err
}

func mustStart(t *testing.T, options Options) *Cluster {
	t.Helper()
	c, err := startFake(t, options)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return c
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func TestStartServesOnEveryAddress(t *testing.T) {
	c := mustStart(t, Options{})
	brokers := c.Brokers()
	if len(brokers) != 3 {
		t.Fatalf("%d brokers, want 3", len(brokers))
	}
	for i, address := range c.Bootstrap() {
		if !listens(address) {
			t.Errorf("nothing listens on %s", address)
		}
		if brokers[i].PID == 0 || brokers[i].ID != i+1 {
			t.Errorf("broker %d: %+v", i, brokers[i])
		}
		if p, err := os.ReadFile(brokers[i].Log); err != nil || !strings.Contains(string(p), "ready "+address) {
			t.Errorf("log of broker %d: %q, %v", i, p, err)
		}
	}
}

func TestKillStopAndRestartOneBroker(t *testing.T) {
	c := mustStart(t, Options{Brokers: 2})
	address := c.Bootstrap()[1]
	exited := c.Exited(1)
	if err := c.Kill(1); err != nil {
		t.Fatal(err)
	}
	<-exited
	if listens(address) {
		t.Error("it listens after Kill")
	}
	if pid := c.Brokers()[1].PID; pid != 0 {
		t.Errorf("pid %d after Kill, want 0", pid)
	}
	if err := c.Kill(1); !errors.Is(err, ErrStopped) {
		t.Errorf("second Kill: %v, want ErrStopped", err)
	}
	if err := c.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if !listens(address) {
		t.Error("it does not listen after Restart")
	}
	if err := c.Restart(t.Context(), 1); !errors.Is(err, ErrRunning) {
		t.Errorf("Restart of a running broker: %v, want ErrRunning", err)
	}
	if err := c.Stop(t.Context(), 1); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := c.Pause(1); !errors.Is(err, ErrStopped) {
		t.Errorf("Pause of a stopped broker: %v, want ErrStopped", err)
	}
	if !listens(c.Bootstrap()[0]) {
		t.Error("the other broker was ended too")
	}
}

func TestPausedBrokerStops(t *testing.T) {
	c := mustStart(t, Options{Brokers: 1})
	if err := c.Pause(0); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Errorf("Stop of a paused broker: %v", err)
	}
}

func TestStartSaysWhyABrokerDied(t *testing.T) {
	c, err := startFake(t, Options{Brokers: 1, Args: []string{"--mode", "dies"}})
	if c != nil || !errors.Is(err, ErrExited) {
		t.Fatalf("got %v, %v; want ErrExited", c, err)
	}
	broker, ok := errors.AsType[*BrokerError](err)
	if !ok || !strings.Contains(broker.LogTail, "the disk is on fire") || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("error %q does not say why", err)
	}
}

func TestStartGivesUpOnASilentBroker(t *testing.T) {
	_, err := startFake(t, Options{Brokers: 1, Args: []string{"--mode", "silent"}, ReadyTimeout: 50 * time.Millisecond})
	if !errors.Is(err, ErrNotReady) {
		t.Fatalf("got %v, want ErrNotReady", err)
	}
}

func TestStopKillsAStubbornBroker(t *testing.T) {
	c := mustStart(t, Options{Brokers: 1, Args: []string{"--mode", "stubborn"}, StopTimeout: 50 * time.Millisecond})
	exited := c.Exited(0)
	if err := c.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("close: %v, want that it was killed", err)
	}
	<-exited
}

func TestATemporaryDirectoryIsRemovedAndAGivenOneKept(t *testing.T) {
	temporary := mustStart(t, Options{Brokers: 1})
	if err := temporary.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(temporary.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary directory: %v, want it gone", err)
	}
	kept := mustStart(t, Options{Brokers: 1})
	kept.Keep()
	if err := kept.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept.Brokers()[0].Log); err != nil {
		t.Errorf("kept directory: %v", err)
	}
	if err := os.RemoveAll(kept.Dir()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	first := mustStart(t, Options{Brokers: 2, Dir: dir})
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := mustStart(t, Options{Brokers: 3, Dir: dir})
	if !slices.Equal(again.Bootstrap(), first.Bootstrap()) {
		t.Errorf("taken up at %v, want %v", again.Bootstrap(), first.Bootstrap())
	}
}

func TestStartRefusesNonsense(t *testing.T) {
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, layoutFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		options Options
		want    string
	}{
		{"too many brokers", Options{Brokers: 10}, "want 1 to 9"},
		{"negative", Options{Brokers: -1}, "want 1 to 9"},
		{"no executable", Options{Binary: "/no/such/file"}, "no such file"},
		{"damaged layout", Options{Dir: damaged}, layoutFile},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := startFake(t, tc.options); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestATakenPortIsTriedElsewhere(t *testing.T) {
	t.Setenv(fakeBroker, "serves")
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	layout := []Broker{{ID: 1, Address: listener.Addr().String(), Peer: "127.0.0.1:1", HTTP: "127.0.0.1:2"}}
	if err := writeLayout(dir, layout); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrPortTaken) {
		t.Errorf("got %v, want ErrPortTaken", err)
	}
}

// TestAGivenLayoutAndCommandAreUsed is how brokers are started elsewhere than
// on this machine's loopback.
func TestAGivenLayoutAndCommandAreUsed(t *testing.T) {
	var ports Ports
	defer ports.Close()
	layout := make([]Broker, 2)
	for i := range layout {
		layout[i] = Broker{ID: 7 + i, DataDir: t.TempDir()}
		for _, address := range []*string{&layout[i].Address, &layout[i].Peer, &layout[i].HTTP} {
			var err error
			if *address, err = ports.Address(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var started []int
	c := mustStart(t, Options{
		Dir: t.TempDir(), Layout: layout, Args: []string{"--data-dir", "elsewhere"},
		Command: func(b Broker, args []string) (*exec.Cmd, error) {
			started = append(started, b.ID)
			if given := slices.Index(args, "--data-dir"); args[given+1] != "elsewhere" {
				t.Errorf("--data-dir %s, want that of Args in the place of the layout's", args[given+1])
			}
			return exec.Command(os.Args[0], args...), nil
		},
	})
	if !slices.Equal(started, []int{7, 8}) || !listens(layout[0].Address) || !listens(layout[1].Address) {
		t.Errorf("started %v at %v, want those of %+v", started, c.Bootstrap(), layout)
	}
	if err := c.Pause(0); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(c.Brokers()[0].PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	state, err := c.Wait(t.Context(), 0)
	if err != nil || state.Exited() || state.String() != "signal: killed" {
		t.Errorf("it ended with %v, %v; want signal: killed", state, err)
	}
}
