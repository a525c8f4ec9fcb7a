package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/chronik-project/chronik/internal/cli"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into testdata")

// ran is what one command line did.
type ran struct {
	status         exit.Status
	stdout, stderr string
}

// run executes one command line in this process.
func run(t *testing.T, args ...string) ran {
	t.Helper()
	return runWith(t.Context(), strings.NewReader(""), args...)
}

func runWith(ctx context.Context, stdin *strings.Reader, args ...string) ran {
	var stdout, stderr bytes.Buffer
	build := cli.Build{Version: "1.2.3", Commit: "abcdef", Date: "2026-11-24T00:00:00Z"}
	status := cli.Main(ctx, args, cli.IO{In: stdin, Out: &stdout, Err: &stderr}, build)
	return ran{status, stdout.String(), stderr.String()}
}

// must fails the test unless the status is the one wanted.
func (r ran) must(t *testing.T, want exit.Status) ran {
	t.Helper()
	if r.status != want {
		t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.status, want, r.stdout, r.stderr)
	}
	return r
}

// says fails the test unless stderr has every text.
func (r ran) says(t *testing.T, texts ...string) ran {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("stderr lacks %q:\n%s", text, r.stderr)
		}
	}
	return r
}

// envelope is the part of -o json that every command has.
type envelope struct {
	Schema      string            `json:"schema"`
	ClusterID   *string           `json:"cluster_id"`
	GeneratedAt string            `json:"generated_at"`
	Data        []json.RawMessage `json:"data"`
	Errors      []struct {
		Subject, Code, Message, Hint string
		KafkaCode                    *int16 `json:"kafka_code"`
	} `json:"errors"`
	Summary map[string]any `json:"summary"`
}

// envelope decodes stdout, which must be exactly one object with every key.
func (r ran) envelope(t *testing.T) envelope {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	var keys map[string]json.RawMessage
	if err := dec.Decode(&keys); err != nil {
		t.Fatalf("stdout is not a JSON object: %v\n%s", err, r.stdout)
	}
	if dec.More() {
		t.Fatalf("stdout has more than one object:\n%s", r.stdout)
	}
	for _, key := range []string{"schema", "cluster_id", "generated_at", "data", "errors", "summary"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("envelope lacks %q:\n%s", key, r.stdout)
		}
	}
	var e envelope
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil {
		t.Fatalf("envelope: %v\n%s", err, r.stdout)
	}
	return e
}

// row decodes one row of an envelope.
func row[T any](t *testing.T, e envelope, i int) T {
	t.Helper()
	var v T
	if i >= len(e.Data) {
		t.Fatalf("%d rows, want more than %d", len(e.Data), i)
	}
	if err := json.Unmarshal(e.Data[i], &v); err != nil {
		t.Fatalf("row %d: %v", i, err)
	}
	return v
}

// fake starts a fake Kafka cluster and returns its addresses for -B.
func fake(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.ClusterID("fake-cluster")}, opts...)...)
	if err != nil {
		t.Fatalf("fake cluster: %v", err)
	}
	t.Cleanup(c.Close)
	return c, strings.Join(c.ListenAddrs(), ",")
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -rewrite)", err)
	}
	if text != string(want) {
		t.Errorf("%s differs (run the test with -rewrite, and read the difference):\ngot:\n%s\nwant:\n%s", path, text, want)
	}
}
