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
	"github.com/chronik-project/chronik/test/faults/load"
)

// witness is a test that takes down its failures and does not fail.
type witness struct {
	testing.TB
	rig *rig // of the test

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

// watch runs a test and returns what it complained of. If it waited in vain, what
// the replicas show comes first: waits are long on slow machines, too.
func watch(t testing.TB, test func(testing.TB)) []string {
	w := &witness{TB: t}
	apart(func() { test(w) })
	if w.rig != nil && w.Failed() {
		waited := w.complaints
		w.complaints = nil
		apart(w.rig.testify)
		w.complaints = append(w.complaints, waited...)
	}
	return w.complaints
}

// apart runs f, which may end its goroutine.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// testify ends a test that has failed with the checker's verdict on what is there.
func (r *rig) testify() {
	r.Helper()
	if r.load == nil || r.final != nil {
		return // there is nothing, or it has been judged
	}
	r.net.Heal()
	for i, b := range r.brokers.Brokers() {
		if b.PID == 0 {
			_ = r.brokers.Restart(r.within(impatience), i) // if it can
		}
	}
	_ = r.load.Finish(r.within(3 * time.Second)) // what it had not done it has not done
	final, err := load.ReadReplicas(r.within(impatience), r.config())
	if err != nil {
		r.Logf("read the replicas: %v", err)
		final = nil
	}
	report := check.Check(r.history, final, check.Rules{MinISR: r.plan.minISR})
	for _, liveness := range []check.Class{check.NoRecovery, check.ISRNotFull, check.LaggingReplica, check.Unseen} {
		delete(report.Counts, liveness)
	}
	if len(report.Counts) > 0 {
		r.Errorf("history and replicas show %v", report.Counts)
	}
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
