package isr_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata say now; read the diff before committing it")

// TestScripts runs the histories in testdata: commands, then ----, then what
// they lead to. A command's words are its name, its operands and key=value
// pairs. Broker n is registered under epoch 100+n unless a script says
// otherwise. Every block ends with the state it leaves behind.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s:\n%s", name, firstDifference(got, string(want)))
			}
		})
	}
}

// runScript executes the commands of a script and returns it with the output
// that they have.
func runScript(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	s := &script{now: time.Unix(1_700_000_000, 0)}
	s.start = s.now
	inOutput := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "----":
			inOutput = true
			out.WriteString(line)
			s.summary()
			out.WriteString(s.out.String())
			s.out.Reset()
		case trimmed == "":
			inOutput = false
			out.WriteString(line)
		case inOutput:
		case strings.HasPrefix(trimmed, "#"):
			out.WriteString(line)
		default:
			out.WriteString(line)
			if err := s.command(trimmed); err != nil {
				t.Fatalf("%s: %v", trimmed, err)
			}
		}
	}
	return out.String()
}

// script is one running history.
type script struct {
	now, start time.Time
	state      *isr.State
	last       isr.Proposal // the newest one handed out
	out        bytes.Buffer
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) summary() {
	if s.state == nil {
		return
	}
	under := ""
	if s.state.UnderMinISR() {
		under = " under min isr"
	}
	s.printf("hw=%d isr=%v maximal=%v%s", s.state.HighWatermark(), s.state.ISR(), s.state.MaximalISR(), under)
}

// words is a parsed command.
type words struct {
	operands []string
	values   map[string]string
	err      error
}

func parse(line string) (name string, w *words) {
	w = &words{values: map[string]string{}}
	fields := strings.Fields(line)
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.values[k] = v
		} else {
			w.operands = append(w.operands, f)
		}
	}
	return fields[0], w
}

func (w *words) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	w.err = errors.Join(w.err, err)
	return n
}

func (w *words) operand(i int) int64 {
	if i >= len(w.operands) {
		w.err = errors.Join(w.err, fmt.Errorf("operand %d is missing", i+1))
		return 0
	}
	return w.number(w.operands[i])
}

func (w *words) value(key string, byDefault int64) int64 {
	text, ok := w.values[key]
	if !ok {
		return byDefault
	}
	return w.number(text)
}

func (w *words) brokers(key string) []cluster.BrokerID {
	var ids []cluster.BrokerID
	for _, text := range strings.Split(w.values[key], ",") {
		ids = append(ids, cluster.BrokerID(w.number(text)))
	}
	return ids
}

func (w *words) broker() cluster.BrokerID { return cluster.BrokerID(w.operand(0)) }

func (w *words) duration() time.Duration {
	if len(w.operands) == 0 {
		w.err = errors.Join(w.err, errors.New("how long?"))
		return 0
	}
	d, err := time.ParseDuration(w.operands[0])
	w.err = errors.Join(w.err, err)
	return d
}

func (s *script) command(line string) error {
	name, w := parse(line)
	if s.state == nil && name != "new" {
		return errors.New("begin with new")
	}
	before := int64(0)
	if s.state != nil {
		before = s.state.HighWatermark()
	}
	moved, err := s.run(name, w)
	if w.err != nil {
		return w.err
	}
	if err != nil {
		s.printf("error: %v", err)
	}
	if after := s.state.HighWatermark(); name != "new" && after != before {
		s.printf("hw %d -> %d", before, after)
	} else if moved {
		s.printf("says that the high watermark moved, which it did not")
	}
	return nil
}

func (s *script) run(name string, w *words) (moved bool, err error) {
	session := uint64(w.value("session", 1))
	switch name {
	case "new":
		s.new(w)
	case "append":
		s.state.Appended(w.operand(0), s.now)
	case "sync":
		moved = s.state.LocalSynced(w.operand(0), s.now)
	case "open":
		epoch := cluster.BrokerEpoch(w.value("broker", 100+int64(w.broker())))
		moved = s.state.SessionOpened(w.broker(), session, epoch, w.value("durable", 0), s.now)
	case "ack":
		durable := w.value("durable", 0)
		moved, err = s.state.Acked(w.broker(), session, durable, w.value("appended", durable), s.now)
	case "close":
		moved = s.state.SessionClosed(w.broker(), session, s.now)
	case "live":
		moved = s.state.CaughtUpLive(w.broker(), session, true, s.now)
	case "bulk":
		moved = s.state.CaughtUpLive(w.broker(), session, false, s.now)
	case "eligible", "ineligible":
		epoch := cluster.BrokerEpoch(w.value("broker", 100+int64(w.broker())))
		moved = s.state.SetEligible(w.broker(), name == "eligible", epoch)
	case "commit":
		pe := cluster.PartitionEpoch(w.value("pe", 0))
		moved = s.state.Committed(pe, w.brokers("isr"), int(w.value("min", 2)), s.now)
	case "min":
		moved = s.state.SetMinISR(int(w.operand(0)))
	case "resolve":
		moved = s.resolve(w)
	case "wait":
		s.wait(w.duration())
	case "pause":
		s.now = s.now.Add(w.duration())
	case "tick":
		s.tick()
	case "status":
		s.status()
	default:
		return false, fmt.Errorf("unknown command %q", name)
	}
	return moved, err
}

func (s *script) new(w *words) {
	replicas := w.brokers("replicas")
	end := w.value("end", 0)
	s.state = isr.New(isr.Options{}, isr.Term{
		Self: cluster.BrokerID(w.value("self", 1)), Epoch: cluster.Epoch(w.value("epoch", 1)), PartitionEpoch: 1,
		Replicas: replicas, ISR: w.brokers("isr"), MinISR: int(w.value("min", 2)),
		EndOffset: end, DurableEnd: w.value("durable", end), HighWatermark: w.value("hw", end),
	}, s.now)
	for _, id := range replicas {
		s.state.SetEligible(id, true, cluster.BrokerEpoch(100+id))
	}
}

func (s *script) resolve(w *words) (moved bool) {
	outcomes := map[string]isr.Outcome{}
	for _, o := range []isr.Outcome{isr.OutcomeUnknown, isr.OutcomeRejected, isr.OutcomeStale, isr.OutcomeAccepted} {
		outcomes[o.String()] = o
	}
	for _, text := range w.operands {
		outcome, ok := outcomes[text]
		if !ok {
			w.err = fmt.Errorf("unknown outcome %q", text)
		}
		moved = s.state.Resolve(s.last, outcome, s.now) || moved
	}
	return moved
}

// wait lets time pass the way the broker does.
func (s *script) wait(d time.Duration) {
	const interval = 50 * time.Millisecond
	for ; d > 0; d -= interval {
		s.now = s.now.Add(min(d, interval))
		s.tick()
	}
}

func (s *script) tick() {
	p, ok := s.state.Tick(s.now)
	if !ok {
		return
	}
	s.last = p
	var members []string
	for _, m := range p.ISR {
		members = append(members, fmt.Sprintf("%d@%d", m.ID, m.Epoch))
	}
	s.printf("%s: proposal %d for pe=%d isr=%s add=%v remove=%v: %s",
		s.now.Sub(s.start), p.Seq, p.PartitionEpoch, strings.Join(members, ","), p.Add, p.Remove, p.Reason)
}

func (s *script) status() {
	for _, f := range s.state.Followers(s.now) {
		caughtUp := "never"
		if !f.LastCaughtUp.IsZero() {
			caughtUp = s.now.Sub(f.LastCaughtUp).String() + " ago"
		}
		s.printf("%d %s isr=%t durable=%d appended=%d due=%d lag=%s caught up %s share=%.2f p99=%s flaps=%d %q",
			f.ID, f.State, f.InISR, f.DurableEnd, f.AppendedEnd, f.LagRecords, f.Lag, caughtUp, f.AckWaitShare, f.AckWaitP99, f.Flaps, f.Reason)
	}
	share, p99 := s.state.LeaderWait(s.now)
	s.printf("leader share=%.2f p99=%s", share, p99)
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "<end>", "<end>"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d is\n  %s\nwant\n  %s", i+1, a, b)
		}
	}
	return "no difference"
}
