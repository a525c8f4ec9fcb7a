package meta

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// logEvery is how often the same complaint of raft is written: it repeats "no
// answer from broker 2" several times a second for as long as that is so.
const logEvery = 10 * time.Second

// raftLog writes raft's messages to a slog handler. Raft reports what one member
// sees of the others, which is rarely news to an operator: its errors become
// warnings, the rest is for debugging. State changes are logged by Run.
type raftLog struct {
	handler slog.Handler
	name    string
	implied []any
	said    *said
}

// said remembers when a message was last written. Raft's messages are constants,
// so there are few.
type said struct {
	mu   sync.Mutex
	when map[string]time.Time // guarded by mu
}

var _ hclog.Logger = raftLog{}

func newRaftLog(l *slog.Logger) raftLog {
	return raftLog{handler: l.Handler(), name: "raft", said: &said{when: map[string]time.Time{}}}
}

// again reports whether msg was written a short time ago, and remembers it.
func (s *said) again(msg string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.when[msg]; ok && now.Sub(last) < logEvery {
		return true
	}
	s.when[msg] = now
	return false
}

// Log writes one message.
func (r raftLog) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error {
		to = slog.LevelWarn
	}
	ctx := context.Background()
	now := time.Now()
	if !r.handler.Enabled(ctx, to) || (to > slog.LevelDebug && r.said.again(msg, now)) {
		return
	}
	rec := slog.NewRecord(now, to, r.name+": "+msg, 0)
	for _, pairs := range [][]any{r.implied, args} {
		for i := 0; i+1 < len(pairs); i += 2 {
			key := strings.ReplaceAll(fmt.Sprint(pairs[i]), "-", "_")
			rec.AddAttrs(slog.String(key, text(pairs[i+1])))
		}
	}
	_ = r.handler.Handle(ctx, rec) // there is nowhere to report a failure to log
}

func text(v any) string {
	if f, ok := v.(hclog.Format); ok && len(f) > 0 {
		if format, ok := f[0].(string); ok {
			return fmt.Sprintf(format, f[1:]...)
		}
	}
	return fmt.Sprint(v)
}

// Trace writes a message for debugging.
func (r raftLog) Trace(msg string, args ...any) { r.Log(hclog.Trace, msg, args...) }

// Debug writes a message for debugging.
func (r raftLog) Debug(msg string, args ...any) { r.Log(hclog.Debug, msg, args...) }

// Info writes a message for debugging.
func (r raftLog) Info(msg string, args ...any) { r.Log(hclog.Info, msg, args...) }

// Warn writes a message for debugging.
func (r raftLog) Warn(msg string, args ...any) { r.Log(hclog.Warn, msg, args...) }

// Error writes a warning, at most one of a kind in ten seconds.
func (r raftLog) Error(msg string, args ...any) { r.Log(hclog.Error, msg, args...) }

// IsTrace reports whether messages for debugging are written.
func (r raftLog) IsTrace() bool { return r.IsDebug() }

// IsDebug reports whether messages for debugging are written.
func (r raftLog) IsDebug() bool { return r.handler.Enabled(context.Background(), slog.LevelDebug) }

// IsInfo reports whether messages for debugging are written.
func (r raftLog) IsInfo() bool { return r.IsDebug() }

// IsWarn reports whether messages for debugging are written.
func (r raftLog) IsWarn() bool { return r.IsDebug() }

// IsError reports whether warnings are written.
func (r raftLog) IsError() bool { return r.handler.Enabled(context.Background(), slog.LevelWarn) }

// ImpliedArgs is what With has added.
func (r raftLog) ImpliedArgs() []any { return r.implied }

// With returns a logger that adds args to every message.
func (r raftLog) With(args ...any) hclog.Logger {
	r.implied = append(r.implied[:len(r.implied):len(r.implied)], args...)
	return r
}

// Name is the prefix of the messages.
func (r raftLog) Name() string { return r.name }

// Named appends to the prefix.
func (r raftLog) Named(name string) hclog.Logger { return r.ResetNamed(r.name + "." + name) }

// ResetNamed replaces the prefix.
func (r raftLog) ResetNamed(name string) hclog.Logger {
	r.name = name
	return r
}

// SetLevel does nothing: the slog handler decides.
func (raftLog) SetLevel(hclog.Level) {}

// GetLevel is the lowest level that is written.
func (r raftLog) GetLevel() hclog.Level {
	if r.IsDebug() {
		return hclog.Debug
	}
	return hclog.Error
}

// StandardLogger adapts once more, for packages that want the log package.
func (r raftLog) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(r.StandardWriter(o), "", 0)
}

// StandardWriter writes every line as a message for debugging.
func (r raftLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return lineWriter{r} }

type lineWriter struct{ log raftLog }

// Write writes one message.
func (w lineWriter) Write(p []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
