package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/vfs"
)

// running is a broker on free loopback ports.
type running struct {
	clients string // address
	stop    func() error
}

// lineWriter hands the first line to a channel.
type lineWriter struct {
	buf  bytes.Buffer
	line chan string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if line, err := w.buf.ReadString('\n'); err == nil {
		w.line <- line
	}
	return len(p), nil
}

func startBroker(t *testing.T, c Config) running {
	t.Helper()
	c.Listen, c.PeerListen, c.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.WALFileBytes = 2 << 20
	ready := &lineWriter{line: make(chan string, 1)}
	c.Ready = ready
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c) }()
	select {
	case line := <-ready.line:
		_, rest, _ := strings.Cut(line, "clients ")
		addr, _, _ := strings.Cut(rest, ",")
		return running{clients: addr, stop: func() error { cancel(); return <-ended }}
	case err := <-ended:
		cancel()
		t.Fatalf("broker ended: %v", err)
		return running{}
	}
}

// produce writes the numbers below n to topic "t".
func produce(t *testing.T, addr string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestartKeepsEverything produces, stops gracefully, starts again and reads
// everything back; the readiness line names the address to use.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBroker(t, Config{DataDir: dir})
	produce(t, b.clients, 100)
	if err := b.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}

	b = startBroker(t, Config{DataDir: dir})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.clients), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var got []string
	for len(got) < 100 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	for i, v := range got {
		if v != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, v)
		}
	}
	if err := b.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// TestRefusesToStart walks the failures to start: one clear error with a hint,
// and nothing half-created.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	ports := Config{Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", HTTPListen: HTTPOff}
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *Config)
		want    string
		creates bool // the directory is there afterwards
	}{
		{
			name: "port in use",
			prepare: func(t *testing.T, c *Config) {
				ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ln.Close() })
				c.PeerListen = ln.Addr().String()
			},
			want: "address already in use",
		},
		{
			name: "directory of another node",
			prepare: func(t *testing.T, c *Config) {
				d, _, err := openDataDir(vfs.OS(), c.DataDir, 7)
				if err != nil {
					t.Fatal(err)
				}
				if err := d.close(true); err != nil {
					t.Fatal(err)
				}
			},
			want: "belongs to node 7, not to node 1", creates: true,
		},
		{
			name: "directory in use",
			prepare: func(t *testing.T, c *Config) {
				d, _, err := openDataDir(vfs.OS(), c.DataDir, 1)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = d.close(true) })
			},
			want: "is in use by another process", creates: true,
		},
		{
			name: "damaged identity",
			prepare: func(t *testing.T, c *Config) {
				write(t, filepath.Join(c.DataDir, identityFile), "{")
			},
			want: "is damaged", creates: true,
		},
		{
			name: "identity of a later version",
			prepare: func(t *testing.T, c *Config) {
				write(t, filepath.Join(c.DataDir, identityFile), `{"version":9,"node_id":1}`)
			},
			want: "has version 9, this chronik knows 1", creates: true,
		},
		{
			name: "data without an identity",
			prepare: func(t *testing.T, c *Config) {
				write(t, filepath.Join(c.DataDir, "wal", "0001.wal"), "x")
			},
			want: "holds data (wal) but no meta.json", creates: true,
		},
		{
			name: "a file in place of the directory",
			prepare: func(t *testing.T, c *Config) {
				write(t, c.DataDir, "x")
			},
			want: "create data directory", creates: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := ports
			c.DataDir = filepath.Join(t.TempDir(), "data")
			tt.prepare(t, &c)
			err := Run(t.Context(), c)
			own, ok := errors.AsType[*StartError](err)
			if !ok || !strings.Contains(err.Error(), tt.want) || own.Hint == "" {
				t.Errorf("error %v, want %q with a hint", err, tt.want)
			}
			if _, err := os.Stat(c.DataDir); (err == nil) != tt.creates {
				t.Errorf("data directory afterwards: %v, want it there: %v", err, tt.creates)
			}
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
