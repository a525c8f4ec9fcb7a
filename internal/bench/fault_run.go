package bench

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// FaultRun is what became of one entry of a fault timeline. Times are in
// milliseconds since the load that is measured began.
type FaultRun struct {
	Fault     string   `json:"fault"` // as it was written
	Action    string   `json:"action"`
	Partition int32    `json:"partition"` // whose leader or follower was meant
	Broker    int32    `json:"broker"`    // -1: none was found
	Leader    int32    `json:"leader"`    // of the partition, just before; -1: none
	AtMs      float64  `json:"at_ms"`
	TookMs    float64  `json:"took_ms"`
	UndoneMs  *float64 `json:"undone_at_ms"` // when it had been undone; nil: nobody did
	// UnavailableMs is the longest time without an ack of any one partition, from
	// this fault to the next one or to the end of the load, counting from its last
	// ack before; FirstAckMs when that ended, since the fault. Nil: not known, or
	// never.
	UnavailableMs        *float64 `json:"unavailable_ms"`
	UnavailablePartition *int32   `json:"unavailable_partition"`
	FirstAckMs           *float64 `json:"first_ack_ms"`
	Error                string   `json:"error"` // empty: it worked
}

// faultLimit bounds one action, and faultLookup the search for its victim.
const (
	faultLimit  = 2 * time.Minute
	faultLookup = 5 * time.Second
)

// faultRunner follows a timeline while load runs. All but what has a lock of its
// own is set by run, which has ended before anybody else looks.
type faultRunner struct {
	target  *target
	config  Config
	brokers []BrokerEnvironment
	clock   *faultClock
	gaps    *gapMeter
	began   time.Time // the load

	runs    []FaultRun
	victims []Victim // by step
	open    []int    // steps that are to be undone, the oldest first
	current int      // step that the gaps belong to; -1: none yet
	at      time.Time
	events  []happened
	errs    []error
}

// newFaultRunner readies the lanes to tell phases apart; nil without faults. Call
// it before any load.
func (t *target) newFaultRunner(c Config, brokers []BrokerEnvironment, lanes []*lane) *faultRunner {
	if len(c.Faults) == 0 {
		return nil
	}
	f := &faultRunner{
		target: t, config: c, brokers: brokers, clock: newFaultClock(), gaps: newGapMeter(t.partitions, time.Now()),
		runs: make([]FaultRun, len(c.Faults)), victims: make([]Victim, len(c.Faults)), current: -1,
	}
	for i, s := range c.Faults {
		f.runs[i] = FaultRun{Fault: s.Text, Action: s.Verb, Partition: s.Partition, Broker: -1, Leader: -1, Error: "the load was over before"}
	}
	for _, l := range lanes {
		l.faults = f.clock
		l.gaps = f.gaps
		if !l.arm.Acknowledged() {
			continue
		}
		for _, p := range l.producers {
			p.gaps = f.gaps
		}
	}
	return f
}

// beside runs load with the timeline beside it.
func (f *faultRunner) beside(ctx context.Context, load func()) {
	if f == nil {
		load()
		return
	}
	f.began = time.Now()
	stop := background(ctx, func(running context.Context) { f.run(ctx, running) })
	load()
	stop()
	f.settleGaps(time.Now())
}

// run follows the agenda until it is through, load is over, or ctx is cancelled.
func (f *faultRunner) run(ctx, load context.Context) {
	for _, m := range agenda(f.config.Faults) {
		timer := time.NewTimer(m.at - time.Since(f.began))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		case <-load.Done():
			timer.Stop()
			return
		}
		if m.undo {
			f.undo(ctx, m.step)
		} else {
			f.inflict(ctx, m.step)
		}
	}
	if len(f.open) == 0 && f.current >= 0 {
		f.awaitSync(ctx, load)
	}
}

// awaitSync ends the phase of the faults once every replica is in sync.
func (f *faultRunner) awaitSync(ctx, load context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if state, err := f.look(ctx); err == nil && state.full() {
			f.clock.end(time.Now())
			f.note(EventRecovered, nil, "every replica is in sync again")
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-load.Done():
			return
		}
	}
}

// look asks for the state of the topic, whoever does not answer.
func (f *faultRunner) look(ctx context.Context) (topicState, error) {
	ctx, cancel := context.WithTimeout(ctx, faultLookup)
	defer cancel()
	return f.target.inSync(ctx)
}

// inflict does one step. One that fails is an error of the run, which goes on.
func (f *faultRunner) inflict(ctx context.Context, i int) {
	step, run := f.config.Faults[i], &f.runs[i]
	run.Error = ""
	run.AtMs = ms(time.Since(f.began))
	v, err := f.victim(ctx, step)
	if err != nil {
		f.failed(i, err)
		return
	}
	run.Broker, run.Leader, f.victims[i] = v.Broker, v.Leader, v
	undo, opens := faultUndo[step.Verb]
	at := time.Now()
	f.settleGaps(at)
	f.clock.begin(at)
	f.gaps.mark()
	f.current, f.at = i, at
	run.AtMs = ms(at.Sub(f.began))
	result := f.call(ctx, FaultCall{Verb: step.Verb, Delay: step.Delay, Victim: v})
	run.TookMs = ms(time.Since(at))
	f.events = append(f.events, happened{at: at, Event: result.event(fmt.Sprintf("%s: broker %d%s", step.Verb, v.Broker, whatItLed(v)))})
	if result.Err != nil {
		f.failed(i, result.Err)
		return
	}
	if opens && undo != "" && f.config.FaultsStay && step.For == 0 {
		return
	}
	if opens && undo != "" {
		f.open = append(f.open, i)
		return
	}
	// What undoes something itself closes every step that it undoes.
	f.open = slices.DeleteFunc(f.open, func(o int) bool {
		closes := f.victims[o].Broker == v.Broker && faultUndo[f.config.Faults[o].Verb] == step.Verb
		if closes {
			f.runs[o].UndoneMs = ptr(ms(time.Since(f.began)))
		}
		return closes
	})
}

// undo ends one step, unless something else did before.
func (f *faultRunner) undo(ctx context.Context, i int) {
	if !slices.Contains(f.open, i) {
		return
	}
	f.open = slices.DeleteFunc(f.open, func(o int) bool { return o == i })
	verb := faultUndo[f.config.Faults[i].Verb]
	at := time.Now()
	result := f.call(ctx, FaultCall{Verb: verb, Victim: f.victims[i]})
	f.events = append(f.events, happened{at: at, Event: result.event(fmt.Sprintf("%s: broker %d", verb, f.victims[i].Broker))})
	if result.Err != nil {
		f.failed(i, fmt.Errorf("%s: %w", verb, result.Err))
		return
	}
	f.runs[i].UndoneMs = ptr(ms(time.Since(f.began)))
}

// call has the driver do something, for a limited time.
func (f *faultRunner) call(ctx context.Context, call FaultCall) FaultResult {
	ctx, cancel := context.WithTimeout(ctx, faultLimit)
	defer cancel()
	f.target.cfg.Logger.Info("fault", slog.String("action", call.Verb), slog.Int("broker", int(call.Victim.Broker)))
	return f.config.FaultDriver(ctx, call)
}

func (f *faultRunner) failed(i int, err error) {
	f.runs[i].Error = err.Error()
	f.errs = append(f.errs, fmt.Errorf("fault %q: %w", f.config.Faults[i].Text, err))
}

// note adds what was seen now to the events.
func (f *faultRunner) note(kind string, exit *int, detail string) {
	f.events = append(f.events, happened{at: time.Now(), Event: Event{Kind: kind, ExitCode: exit, Detail: detail}})
}

// event is a result as an event.
func (r FaultResult) event(detail string) Event {
	if r.Err != nil {
		detail += ": FAILED: " + r.Err.Error()
	}
	return Event{Kind: EventFault, Detail: detail, ExitCode: r.ExitCode, Output: r.Output}
}

// happened returns what was done.
func (f *faultRunner) happened() []happened {
	if f == nil {
		return nil
	}
	return f.events
}
