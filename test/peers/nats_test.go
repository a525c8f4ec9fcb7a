//go:build peers

package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// nats is NATS with JetStream.
type nats struct {
	dir       string
	urls      []string
	processes []*process
}

// prepareNATS writes the configuration of three servers: the defaults, and the
// given lines for JetStream.
func prepareNATS(t *testing.T, lines ...string) *nats {
	t.Helper()
	n := &nats{dir: t.TempDir(), processes: make([]*process, 3)}
	stopWith(t, "NATS", n.processes, func(i int) string { return n.path(i, "log") })
	var ports devcluster.Ports
	t.Cleanup(func() { _ = ports.Close() }) // listeners that nobody uses
	var clients, routes []string
	for range n.processes {
		for _, all := range []*[]string{&clients, &routes} {
			a, err := ports.Address(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			*all = append(*all, a)
		}
	}
	for i := range n.processes {
		n.urls = append(n.urls, "nats://"+clients[i])
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\njetstream {\n  store_dir: %q\n  %s\n}\ncluster {\n  name: peers\n  listen: %q\n  routes: [%s]\n}\n",
			i+1, clients[i], n.path(i, "data"), strings.Join(lines, "\n  "), routes[i], "nats://"+strings.Join(routes, ", nats://"))
		if err := os.WriteFile(n.path(i, "conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func (n *nats) start(t *testing.T) *nats {
	t.Helper()
	for i := range n.processes {
		if err := n.launch(i); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func (n *nats) path(i int, kind string) string {
	return filepath.Join(n.dir, fmt.Sprintf("%d.%s", i+1, kind))
}

func (n *nats) launch(i int) (err error) {
	n.processes[i], err = startProcess(n.path(i, "log"), cached("nats-server"), "--config", n.path(i, "conf"))
	return err
}

func (*nats) name() string { return "NATS" }

func (n *nats) pids() []int {
	ids := make([]int, len(n.processes))
	for i, p := range n.processes {
		ids[i] = p.cmd.Process.Pid
	}
	return ids
}

// client runs a command of test/peers/nats and decodes what it prints.
func (n *nats) client(t *testing.T, into any, args ...string) error {
	t.Helper()
	return n.run(t.Context(), into, args...)
}

func (n *nats) run(ctx context.Context, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, cached("nats-load"), append(args, "-servers", strings.Join(n.urls, ","))...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return json.Unmarshal(stdout, into)
}

func (n *nats) must(t *testing.T, into any, args ...string) {
	t.Helper()
	if err := n.client(t, into, args...); err != nil {
		t.Fatal(err)
	}
}

var streamCount atomic.Int32

func streamName() string { return fmt.Sprintf("s%d", streamCount.Add(1)) }

// nothing is what a command prints that has no result.
type nothing struct{}

// natsLoad is what load and rush print.
type natsLoad struct {
	Offered    float64            `json:"offered"`
	Acked      float64            `json:"acked"`
	All        float64            `json:"all"`
	Response   map[string]float64 `json:"response_us"`
	PerSecond  float64            `json:"records_per_second"`
	LongestGap float64            `json:"longest_gap_ms"`
	Valid      bool               `json:"valid"`
	Error      string             `json:"error"`
}

func (n *nats) firstAck(t *testing.T) {
	t.Helper()
	name := streamName()
	n.must(t, &nothing{}, "create", "-name", name, "-streams", "1")
	var one natsLoad
	n.must(t, &one, "rush", "-name", name, "-streams", "1", "-records", "1")
	if one.Acked != 1 {
		t.Fatalf("not acked: %s", one.Error)
	}
}

// killALeader offers a record every 10 ms: a client that waits for an ack does not
// learn that its record is lost.
func (n *nats) killALeader(t *testing.T) time.Duration {
	t.Helper()
	name := streamName()
	n.must(t, &nothing{}, "create", "-name", name, "-streams", "1")
	var found struct {
		Leader string `json:"leader"`
	}
	n.must(t, &found, "leader", "-name", name, "-streams", "1")
	victim := slices.Index([]string{"n1", "n2", "n3"}, found.Leader)
	if victim < 0 {
		t.Fatalf("the leader is %q", found.Leader)
	}
	var load natsLoad
	ended := make(chan error, 1)
	go func() {
		ended <- n.run(t.Context(), &load, "load", "-name", name, "-streams", "1", "-rate", "100", "-warmup", "0", "-drain", "1s",
			"-seconds", fmt.Sprint(int(killFor.Seconds())+1))
	}()
	harness.Pause(t, time.Second)
	if err := n.processes[victim].kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := n.launch(victim); err != nil {
		t.Fatal(err)
	}
	if gap := load.LongestGap; gap >= killFor.Seconds()*1000 {
		t.Errorf("NATS had not come back after %.0f ms: %s", gap, load.Error)
	}
	n.must(t, &found, "leader", "-name", name, "-streams", "1")
	n.must(t, &nothing{}, "delete", "-name", name, "-streams", "1")
	return time.Duration(load.LongestGap * float64(time.Millisecond))
}
