package cluster

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// What a broker may hold more of after a busy time than before: connections to
// the others come and go, and the runtime keeps some memory.
const (
	moreFiles      = 4
	moreGoroutines = 12
	moreBytes      = 64 << 20
)

// holdings are what a process has of what it can run out of.
type holdings struct {
	files      int
	goroutines int
	bytes      int64 // resident
}

// TestABusyTimeLeavesNothingBehind connects and disconnects clients, creates and
// deletes topics, and loses and finds a broker again, and compares what the
// other brokers hold afterwards with what they held before.
func TestABusyTimeLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	brokers := harness.Start(t, devcluster.Options{})
	beBusy(t, brokers, 20, 5, 1) // what is held from the first time on
	idle := held(t.Context(), t, brokers)
	beBusy(t, brokers, 200, 50, 4)
	harness.Await(harness.Within(t, 20*time.Second), t, "the brokers to give back what they took", func(ctx context.Context) error {
		for i, now := range held(ctx, t, brokers) {
			before := idle[i]
			if now.files > before.files+moreFiles || now.goroutines > before.goroutines+moreGoroutines || now.bytes > before.bytes+moreBytes {
				return fmt.Errorf("broker %d holds %+v, before %+v", i+1, now, before)
			}
		}
		return nil
	})
	t.Logf("before %+v, after %+v", idle, held(t.Context(), t, brokers))
}

// beBusy does all that, the given number of times.
func beBusy(t *testing.T, brokers *devcluster.Cluster, connections, topics, flaps int) {
	t.Helper()
	ctx := harness.Within(t, time.Minute)
	for i := range connections {
		client := connect(t, brokers.Bootstrap()[i%2])
		if err := client.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	client := connect(t, brokers.Bootstrap()...)
	defer client.Close()
	admin := kadm.NewClient(client)
	for i := range topics {
		name := fmt.Sprintf("short-lived-%d", i)
		createTopic(ctx, t, client, name, 3, 3)
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: name, Value: make([]byte, 1<<10)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.DeleteTopic(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	for range flaps {
		if err := brokers.Kill(2); err != nil {
			t.Fatal(err)
		}
		restart(t, brokers, []int{2})
	}
}

func connect(t *testing.T, bootstrap ...string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// held asks the two brokers that were never killed.
func held(ctx context.Context, t *testing.T, brokers *devcluster.Cluster) []holdings {
	t.Helper()
	var all []holdings
	for _, b := range brokers.Brokers()[:2] {
		proc := filepath.Join("/proc", fmt.Sprint(b.PID))
		files, err := os.ReadDir(filepath.Join(proc, "fd"))
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(filepath.Join(proc, "status"))
		if err != nil {
			t.Fatal(err)
		}
		h := holdings{files: len(files), goroutines: goroutines(ctx, t, b.HTTP)}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		if _, err := fmt.Sscanf(rest, "%d kB", &h.bytes); err != nil {
			t.Fatal(err)
		}
		h.bytes <<= 10
		all = append(all, h)
	}
	return all
}

// goroutines asks a broker's metrics.
func goroutines(ctx context.Context, t *testing.T, address string) (n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "go_goroutines %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("the metrics have no go_goroutines (%v)", lines.Err())
	return 0
}
