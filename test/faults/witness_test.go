//go:build faults && linux

package faults

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
)

// witness is a test that takes down its failures and does not fail.
type witness struct {
	testing.TB
	mu         sync.Mutex
	complaints []string // guarded by mu
}

// impatience bounds every wait for a build that is known to be broken. What the
// real one is waited for takes it a few seconds.
const impatience = 15 * time.Second

// lasting are anomalies of a history that is not at its end which nothing that
// is still to come can explain.
var lasting = []check.Class{check.InconsistentOffsets, check.NonmonotonicSend, check.Duplicate, check.RegressedHighWatermark, check.SplitBrain}

// exposed ends the test of a broken build once its history shows that it is one.
func (r *rig) exposed() {
	r.Helper()
	if _, watched := r.TB.(*witness); !watched {
		return
	}
	report := check.Check(r.history, nil, check.Rules{MinISR: r.plan.minISR})
	for _, class := range lasting {
		if n := report.Counts[class]; n > 0 {
			r.Logf("%s", report.String())
			r.Fatalf("the history so far shows %d of %s", n, class)
		}
	}
}

// watch runs a test and returns what it complained of.
func watch(t testing.TB, test func(testing.TB)) []string {
	w := &witness{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(w)
	}()
	<-done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.complaints
}

func (w *witness) complain(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, strings.TrimSpace(text))
}

func (w *witness) Error(args ...any)                 { w.complain(fmt.Sprintln(args...)) }
func (w *witness) Errorf(format string, args ...any) { w.complain(fmt.Sprintf(format, args...)) }
func (w *witness) Fail()                             { w.complain("failed") }
func (w *witness) FailNow()                          { w.complain("failed"); runtime.Goexit() }
func (w *witness) Fatal(args ...any)                 { w.Error(args...); runtime.Goexit() }
func (w *witness) Fatalf(format string, args ...any) { w.Errorf(format, args...); runtime.Goexit() }

func (w *witness) Failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.complaints) > 0
}
