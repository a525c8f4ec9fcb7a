package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verbs of a fault timeline.
const (
	FaultKill    = "kill"    // the process ends as in a crash
	FaultStop    = "stop"    // it is asked to stop
	FaultPause   = "pause"   // it is frozen, and keeps its connections
	FaultIsolate = "isolate" // it is cut off from the other brokers; clients reach it
	FaultSlow    = "slow"    // what it sends to the others, and they to it, takes longer
	FaultRestart = "restart" // it is started again, stopped before if it runs
	FaultResume  = "resume"  // undoes pause
	FaultHeal    = "heal"    // undoes isolate and slow
	FaultExec    = "exec"    // whatever the caller's command does
	FaultRecover = "recover" // undoes exec
)

// faultUndo names what undoes each verb; empty: it undoes something itself.
var faultUndo = map[string]string{
	FaultKill: FaultRestart, FaultStop: FaultRestart, FaultPause: FaultResume, FaultIsolate: FaultHeal, FaultSlow: FaultHeal,
	FaultExec: FaultRecover, FaultRestart: "", FaultResume: "", FaultHeal: "",
}

// Roles of whom a fault hits.
const (
	FaultLeader   = "leader"
	FaultFollower = "follower"
)

// FaultStep is one entry of a fault timeline.
type FaultStep struct {
	Text string        // as it was written
	At   time.Duration // since the load that is measured began
	Verb string
	// Role picks the broker by what it is to Partition at that time; empty: Broker
	// does, or, of a verb that undoes, the last fault that is still to be undone.
	Role      string
	Partition int32
	Broker    int32         // -1: not named
	Delay     time.Duration // of slow
	For       time.Duration // until it is undone; 0: at the end of the load
}

// ParseFault reads one entry, such as "at=30s kill-leader for=10s",
// "at=60s slow-follower:3:50ms", "at=5s pause:2" or "at=5s kill-leader partition=4".
func ParseFault(text string) (FaultStep, error) {
	s := FaultStep{Text: text, At: -1, Broker: -1}
	bad := func(format string, args ...any) (FaultStep, error) {
		return s, fmt.Errorf("%w: fault %q: %s", ErrConfig, text, fmt.Sprintf(format, args...))
	}
	for _, word := range strings.Fields(text) {
		name, value, isSetting := strings.Cut(word, "=")
		var err error
		switch {
		case isSetting && name == "at":
			s.At, err = time.ParseDuration(value)
		case isSetting && name == "for":
			s.For, err = time.ParseDuration(value)
			if err == nil && s.For <= 0 {
				return bad("for=%s is no time", value)
			}
		case isSetting && name == "partition":
			var n int64
			n, err = strconv.ParseInt(value, 10, 32)
			s.Partition = int32(n)
		case isSetting:
			return bad("unknown setting %q: want at=, for= or partition=", name)
		case s.Verb != "":
			return bad("two actions, %s and %s", s.Verb, word)
		default:
			err = s.parseAction(word)
		}
		if err != nil {
			return bad("%v", err)
		}
	}
	switch undo, known := faultUndo[s.Verb]; {
	case s.Verb == "":
		return bad("no action")
	case !known:
		return bad("unknown action %q: want kill, stop, pause, isolate, slow, restart, resume, heal or exec, with -leader, -follower or :BROKER", s.Verb)
	case s.At < 0:
		return bad("no time: want at=DURATION")
	case s.Partition < 0:
		return bad("no such partition")
	case (s.Verb == FaultSlow) != (s.Delay > 0):
		return bad("slow takes a delay, such as slow-follower:50ms, and nothing else does")
	case undo == "" && s.For > 0:
		return bad("%s is not undone: it takes no for=", s.Verb)
	case s.Role == "" && s.Broker < 0 && (undo != "" || s.Verb == FaultRestart):
		s.Role = FaultLeader
	}
	return s, nil
}

// parseAction reads VERB[-ROLE][:BROKER][:DELAY].
func (s *FaultStep) parseAction(word string) error {
	parts := strings.Split(word, ":")
	s.Verb = parts[0]
	for _, role := range []string{FaultLeader, FaultFollower} {
		if verb, ok := strings.CutSuffix(s.Verb, "-"+role); ok {
			s.Verb, s.Role = verb, role
		}
	}
	for _, part := range parts[1:] {
		if n, err := strconv.ParseInt(part, 10, 32); err == nil && s.Broker < 0 && n >= 0 {
			s.Broker = int32(n)
			continue
		}
		d, err := time.ParseDuration(part)
		if err != nil || d <= 0 || s.Delay > 0 {
			return fmt.Errorf("%q is neither a broker nor a delay", part)
		}
		s.Delay = d
	}
	return nil
}

// FaultCall is one thing that a FaultDriver is to do.
type FaultCall struct {
	Verb   string
	Delay  time.Duration // of slow
	Victim Victim
}

// FaultResult is what became of it.
type FaultResult struct {
	ExitCode *int   // of a command; nil: there is none, or it did not end by itself
	Output   string // of a command, its end
	Err      error
}

// FaultDriver does what a timeline says, and returns when it is done or ctx ends.
type FaultDriver func(ctx context.Context, call FaultCall) FaultResult

// validateFaults checks a timeline against the load.
func (c Config) validateFaults() error {
	switch {
	case len(c.Faults) == 0:
		return nil
	case c.FaultDriver == nil:
		return fmt.Errorf("%w: nobody to inflict faults", ErrConfig)
	case c.ClosedLoop:
		return fmt.Errorf("%w: a closed loop stops when the leader does, and shows nothing of a fault", ErrConfig)
	case len(c.Faults) > maxFaults:
		return fmt.Errorf("%w: %d faults: at most %d", ErrConfig, len(c.Faults), maxFaults)
	}
	for _, s := range c.Faults {
		if s.At+s.For >= c.Duration {
			return fmt.Errorf("%w: fault %q: not over before the load, which takes %s", ErrConfig, s.Text, c.Duration)
		}
	}
	return nil
}

// maxFaults bounds a timeline.
const maxFaults = 100

// entry is one moment of a timeline.
type moment struct {
	at   time.Duration
	step int  // index of the FaultStep
	undo bool // its end
}

// agenda is a timeline in the order of time. What is undone comes first.
func agenda(steps []FaultStep) []moment {
	var all []moment
	for i, s := range steps {
		all = append(all, moment{at: s.At, step: i})
		if s.For > 0 {
			all = append(all, moment{at: s.At + s.For, step: i, undo: true})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int {
		if a.at != b.at {
			return int(max(-1, min(1, a.at-b.at)))
		}
		if a.undo != b.undo && a.undo {
			return -1
		} else if a.undo != b.undo {
			return 1
		}
		return 0
	})
	return all
}
