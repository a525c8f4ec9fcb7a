package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/server"
)

// started runs "server start" with args and returns what the server was given.
func started(t *testing.T, run Runner, args ...string) (*bytes.Buffer, error) {
	t.Helper()
	var stderr bytes.Buffer
	g := globals.New(globals.IO{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &stderr})
	cmd := NewCommand(g, "1.2.3", run)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"start"}, args...))
	return &stderr, cmd.ExecuteContext(t.Context())
}

func TestStartGivesTheServerItsConfig(t *testing.T) {
	t.Parallel()
	var got server.Config
	stderr, err := started(t, func(_ context.Context, c server.Config) error {
		got = c
		c.Logger.Info("hello", slog.String("key", "value"))
		c.Logger.Debug("too fine")
		return nil
	}, "--node-id", "2", "--data-dir", "d2", "--listen", "127.0.0.1:9093", "--peer-listen", "127.0.0.1:9193",
		"--http-listen", "none", "--peers", "1@127.0.0.1:9192,2@127.0.0.1:9193", "--rack", "r1", "--memory", "512MiB",
		"--auto-create-topics", "true", "--drain-timeout", "3s", "--log-format", "json")
	if err != nil {
		t.Fatal(err)
	}
	if got.NodeID != 2 || got.DataDir != "d2" || got.Listen != "127.0.0.1:9093" || got.Advertise != "127.0.0.1:9093" ||
		got.PeerListen != "127.0.0.1:9193" || got.HTTPListen != server.HTTPOff || len(got.Peers) != 2 || got.Rack != "r1" ||
		got.MemoryBytes != 512<<20 || !*got.AutoCreateTopics || got.DrainTimeout != 3*time.Second || got.Version != "1.2.3" {
		t.Errorf("config %+v", got)
	}
	if got.Ready == nil {
		t.Error("nobody hears that the broker is ready")
	}
	if log := stderr.String(); !strings.Contains(log, `"msg":"hello"`) || strings.Contains(log, "too fine") {
		t.Errorf("log %q", log)
	}
}

func TestStartWithoutFlagsIsABrokerAlone(t *testing.T) {
	t.Parallel()
	var got server.Config
	if _, err := started(t, func(_ context.Context, c server.Config) error { got = c; return nil }); err != nil {
		t.Fatal(err)
	}
	want := server.Config{}.WithDefaults()
	if got.NodeID != want.NodeID || got.Listen != want.Listen || got.PeerListen != want.PeerListen || got.HTTPListen != want.HTTPListen ||
		got.MemoryBytes != want.MemoryBytes || got.WALFileBytes != want.WALFileBytes || !*got.AutoCreateTopics || len(got.Peers) != 0 {
		t.Errorf("config %+v, want the defaults", got)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"peers that are none", []string{"--peers", "host:1"}, "--peers: peer \"host:1\": want ID@HOST:PORT"},
		{"peers without this broker", []string{"--node-id", "4", "--peers", "1@127.0.0.1:9192"}, "--peers: this broker, node 4, is not in the list"},
		{"a negative id", []string{"--node-id", "-1"}, "--node-id: -1 is negative"},
		{"an address without a port", []string{"--listen", "localhost"}, "--listen: "},
		{"an address clients cannot reach", []string{"--listen", "0.0.0.0:9092"}, "--advertise: "},
		{"too little memory", []string{"--memory", "1MiB"}, "--memory: "},
		{"a level that is none", []string{"--log-level", "loud"}, "--log-level: "},
		{"a format that is none", []string{"--log-format", "xml"}, "--log-format: "},
		{"neither true nor false", []string{"--auto-create-topics", "maybe"}, "--auto-create-topics: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := started(t, func(context.Context, server.Config) error {
				t.Error("it ran all the same")
				return nil
			}, tc.args...)
			if exit.Of(err) != exit.Usage || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v (status %d), want %q", err, exit.Of(err), tc.want)
			}
		})
	}
}

func TestAFailureToStartKeepsItsHint(t *testing.T) {
	t.Parallel()
	cause := errors.New("address already in use")
	_, err := started(t, func(context.Context, server.Config) error {
		return fmt.Errorf("listen: %w", &server.StartError{Err: cause, Hint: "stop the other broker"})
	})
	own, ok := errors.AsType[*exit.Error](err)
	if !ok || own.Status != exit.Failed || own.Hint != "stop the other broker" || !errors.Is(err, cause) || !strings.Contains(err.Error(), "broker 1: ") {
		t.Errorf("got %v", err)
	}
}

func TestEveryFlagHasAKeyAndADescription(t *testing.T) {
	t.Parallel()
	var o startOptions
	cmd := &cobra.Command{}
	o.bind(cmd.Flags())
	for _, name := range []string{
		"config", "node-id", "data-dir", "listen", "advertise", "peer-listen", "http-listen", "peers", "rack", "insecure-peers", "memory",
	} {
		if f := cmd.Flags().Lookup(name); f == nil || f.Usage == "" {
			t.Errorf("flag --%s is missing", name)
		}
	}
}
