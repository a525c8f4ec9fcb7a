package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

// beChronik makes this test binary the executable that "dev" starts brokers
// from.
const beChronik = "CHRONIK_TEST_BE_CHRONIK"

func TestMain(m *testing.M) {
	if os.Getenv(beChronik) != "" && len(os.Args) > 1 && os.Args[1] == "server" {
		os.Exit(int(cli.Main(context.Background(), os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Build{})))
	}
	os.Exit(m.Run())
}

// TestCommandsOnRealBrokers runs dev up, and the other commands against it.
func TestCommandsOnRealBrokers(t *testing.T) {
	t.Setenv(beChronik, "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := &lineWriter{lines: make(chan string, 64)}, &bytes.Buffer{}
	ended := make(chan exit.Status, 1)
	go func() {
		args := []string{"dev", "up", "--seed-topic", "orders:3:3", "-o", "name"}
		ended <- cli.Main(ctx, args, cli.IO{In: strings.NewReader(""), Out: stdout, Err: stderr}, cli.Build{})
	}()
	brokers := strings.Join([]string{stdout.next(t), stdout.next(t), stdout.next(t)}, ",")

	e := run(t, "isr", "show", "--check", "-B", brokers, "-o", "json").must(t, exit.OK).envelope(t)
	if len(e.Data) != 3 || e.Summary["ok"] != 3.0 {
		t.Errorf("isr show: %+v", e)
	}
	for i := range e.Data {
		p := row[admin.ISRPartition](t, e, i)
		if p.Source != admin.SourceLeader || p.State != admin.PartitionOK || *p.MinInsyncReplicas != 2 || len(p.Followers) != 2 || p.ELR == nil {
			t.Errorf("partition %+v", p)
		}
		for _, f := range p.Followers {
			if f.State != "in_sync" || f.LagRecords == nil || f.Flaps == nil {
				t.Errorf("partition %d: follower %+v", i, f)
			}
		}
	}
	links := run(t, "replication", "status", "-B", brokers, "-o", "json").must(t, exit.OK).envelope(t)
	if len(links.Data) != 6 || links.Summary["ok"] != 6.0 {
		t.Errorf("replication status: %+v", links.Summary)
	}
	run(t, "topic", "create", "later", "-p", "2", "-r", "3", "--wait-isr", "-B", brokers).must(t, exit.OK)
	run(t, "topic", "create", "x", "-r", "4", "-B", brokers).must(t, exit.Failed).says(t, "-r 3 is the most")
	run(t, "topic", "create", "x", "-c", "retention.m=4", "-B", brokers).must(t, exit.Failed).says(t, "did you mean retention.ms?")
	run(t, "topic", "describe", "later", "-B", brokers).must(t, exit.OK)
	run(t, "topic", "delete", "later", "-y", "-B", brokers).must(t, exit.OK)

	cancel()
	if status := <-ended; status != exit.OK {
		t.Errorf("dev up: exit status %d\n%s", status, stderr)
	}
}

// TestDemo is the demo without its benchmark, on fewer lines.
func TestDemo(t *testing.T) {
	t.Setenv(beChronik, "1")
	began := time.Now()
	r := run(t, "dev", "demo", "--lines", "30000", "--no-bench", "-o", "json").must(t, exit.OK)
	var report struct {
		Acked        int    `json:"acked"`
		ReadBack     int    `json:"read_back"`
		Lost         int    `json:"lost"`
		KilledBroker int    `json:"killed_broker"`
		Acks         string `json:"sha256_acked"`
		Read         string `json:"sha256_read"`
	}
	if err := json.Unmarshal(r.envelope(t).Data[0], &report); err != nil {
		t.Fatal(err)
	}
	if report.Acked != 30_000 || report.ReadBack != 30_000 || report.Lost != 0 || report.KilledBroker == 0 ||
		report.Acks == "" || report.Acks != report.Read {
		t.Errorf("report %+v\n%s", report, r.stderr)
	}
	r.says(t, "SIGKILL to broker", "partition 0: leader", "in sync with all partitions")
	t.Logf("the demo took %s", time.Since(began))
}
