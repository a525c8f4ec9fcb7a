package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/chronik-project/chronik/internal/cli"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

// lineWriter hands each line that is written to a channel.
type lineWriter struct {
	mu    sync.Mutex
	rest  []byte // guarded by mu
	lines chan string
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		select {
		case w.lines <- string(line):
		default:
			return 0, errors.New("more lines than the test expects")
		}
	}
}

func (w *lineWriter) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-w.lines:
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("no line within 10 s")
		return ""
	}
}

func TestWatchPrintsAnObjectForEachChange(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t, kfake.SeedTopics(1, "orders"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &lineWriter{lines: make(chan string, 16)}
	ended := make(chan exit.Status, 1)
	go func() {
		args := []string{"topic", "list", "-B", brokers, "--watch=5ms"}
		ended <- cli.Main(ctx, args, cli.IO{In: strings.NewReader(""), Out: stdout, Err: &bytes.Buffer{}}, cli.Build{})
	}()
	topics := func(line string) int {
		var e envelope
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		return len(e.Data)
	}
	if n := topics(stdout.next(t)); n != 1 {
		t.Errorf("%d topics at first, want 1", n)
	}
	run(t, "topic", "create", "payments", "-p", "1", "-B", brokers).must(t, exit.OK)
	if n := topics(stdout.next(t)); n != 2 {
		t.Errorf("%d topics after a change, want 2", n)
	}
	cancel()
	if status := <-ended; status != exit.Interrupted {
		t.Errorf("exit status %d, want %d", status, exit.Interrupted)
	}
}
