package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

// sparseEvery is how often a log gets a line. A terminal has one line, painted
// over each time.
const sparseEvery = 10 * time.Second

// progressLine shows a run under way on stderr.
type progressLine struct {
	w        io.Writer
	terminal bool
	phase    engine.Phase
	printed  time.Duration // Elapsed of the last sparse line
	dirty    bool          // the terminal's line has text
}

func newProgress(g *globals.Globals) *progressLine {
	return &progressLine{w: g.Err, terminal: globals.IsTerminal(g.Err)}
}

// show is called by the engine about four times a second.
func (l *progressLine) show(p engine.Progress) {
	if l.terminal {
		l.write("\r" + describe(p) + "\x1b[K")
		l.dirty = true
		return
	}
	if p.Phase == l.phase && p.Elapsed-l.printed < sparseEvery {
		return
	}
	l.phase, l.printed = p.Phase, p.Elapsed
	l.write(describe(p) + "\n")
}

// end clears the terminal's line before the result is printed.
func (l *progressLine) end() {
	if l.dirty {
		l.write("\r\x1b[K")
		l.dirty = false
	}
}

// write ignores the error: there is nowhere to report that stderr is gone.
func (l *progressLine) write(s string) { _, _ = io.WriteString(l.w, s) }

// describe is one line such as
// "measure acks=all  3.2s of 10s  3,200 sent, 3,198 acked, 0 failed  p99 1.9ms".
func describe(p engine.Progress) string {
	parts := []string{string(p.Phase)}
	if p.Arm != "" {
		parts[0] += " acks=" + string(p.Arm)
	}
	if p.Rate > 0 {
		parts[0] = groupFloat(p.Rate) + "/s " + parts[0]
	}
	elapsed := p.Elapsed.Round(100 * time.Millisecond).String()
	if p.Total > 0 {
		elapsed += " of " + p.Total.Round(100*time.Millisecond).String()
	}
	parts = append(parts, elapsed)
	switch p.Phase {
	case engine.PhaseFill, engine.PhaseWarmup, engine.PhaseMeasure:
		parts = append(parts, fmt.Sprintf("%s sent, %s acked, %s failed", group(p.Offered), group(p.Acked), group(p.Failed)))
		if p.P99 > 0 {
			parts = append(parts, "p99 "+millis(p.P99))
		}
	case engine.PhaseVerify:
		parts = append(parts, fmt.Sprintf("%s of %s read back", group(p.Read), group(p.ToRead)))
	case engine.PhasePrepare, engine.PhaseClean:
	}
	return strings.Join(parts, "  ")
}
