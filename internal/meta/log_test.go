package meta

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestRaftLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newRaftLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
		for _, quiet := range []func(string, ...any){l.Trace, l.Debug, l.Info, l.Warn} {
			quiet("entering follower state")
		}
		named := l.Named("transport").With("last-index", 7)
		for range 3 {
			named.Error("failed to dial", "peer", hclog.Fmt("%s:%d", "a", 1), "odd")
		}
		named.Error("failed to write")
		wait(logEvery)
		named.Error("failed to dial")
		want := []string{
			`level=WARN msg="raft.transport: failed to dial" last_index=7 peer=a:1`,
			`level=WARN msg="raft.transport: failed to write" last_index=7`,
			`level=WARN msg="raft.transport: failed to dial" last_index=7`,
		}
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(got) != len(want) {
			t.Fatalf("logged\n%s", out.String())
		}
		for i := range want {
			if !strings.HasSuffix(got[i], want[i]) {
				t.Errorf("line %d is %q, want %q", i, got[i], want[i])
			}
		}
		if l.IsDebug() || l.IsTrace() || l.IsInfo() || l.IsWarn() || !l.IsError() || l.GetLevel() != hclog.Error {
			t.Error("levels do not follow the handler's")
		}
	})
}

func TestRaftLogForDebugging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newRaftLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		l.SetLevel(hclog.Off) // has no effect
		l.StandardLogger(nil).Print("a line")
		l.Info("a line")
		if got := strings.Count(out.String(), `level=DEBUG msg="raft: a line"`); got != 2 {
			t.Errorf("logged %q, want two lines", out.String())
		}
		if l.GetLevel() != hclog.Debug || l.Name() != "raft" || len(l.ImpliedArgs()) != 0 {
			t.Errorf("level %s, name %q, args %v", l.GetLevel(), l.Name(), l.ImpliedArgs())
		}
		wait(time.Second)
	})
}
