//go:build faults && linux

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
)

// Flags of the goals: each test TestGoal… has a short form, for the build server,
// and a long one that reaches the floor of its goal.
var (
	long    = flag.Bool("goals.long", false, "run the long forms, which take up to hours each")
	trials  = flag.Int("goals.trials", 0, "how many `trials`; 0 is the form's own number")
	limit   = flag.Duration("goals.for", 0, "stop after `duration`, however many trials there were; results of several runs add up")
	results = flag.String("goals.results", "", "append the JSON line of each goal to `file`, too")
	seedIs  = flag.Uint64("faults.seed", 0, "what faults are drawn by; 0 draws a `seed`. It says which faults come in which order, not at which instant")
)

// result is what a goal comes to: one line. Counts of several lines of a goal
// add up, percentiles do not.
type result struct {
	Goal   int   `json:"goal"`
	Trials int   `json:"trials"`
	Acked  int   `json:"acked"`
	Lost   int   `json:"lost"`
	Dup    int   `json:"dup"`
	Broken int   `json:"violations"` // all anomalies, those lost and dup among them, and clusters that hung
	Void   int   `json:"void"`       // trials that prove nothing
	P50    int64 `json:"p50"`        // ms
	P99    int64 `json:"p99"`
	Max    int64 `json:"max"`

	Seed    uint64         `json:"seed"`
	Commit  string         `json:"commit"`
	Form    string         `json:"form"` // short or long
	Start   time.Time      `json:"start"`
	Seconds float64        `json:"seconds"`
	Of      string         `json:"of,omitempty"` // what the percentiles are of
	More    map[string]any `json:"more,omitempty"`
}

// campaign is one goal's trials: on one cluster after another, each of which is
// judged in rounds with a history of their own.
type campaign struct {
	*testing.T
	result

	rng     *rand.Rand // of the cluster
	want    int
	until   time.Time // zero is for ever
	ctx     context.Context
	number  uint64 // of the cluster: the seed of its faults is the campaign's plus this
	failed  int    // clusters
	samples []time.Duration
}

// untilThen is the number of trials of campaigns that end by the clock.
const untilThen = 1 << 30

// maxFailed is how many clusters may fail before a campaign ends: enough is known.
const maxFailed = 5

// newCampaign begins a campaign of so many trials in its short or long form.
func newCampaign(t *testing.T, goal, shortTrials, longTrials int) *campaign {
	t.Helper()
	c := &campaign{T: t, want: shortTrials}
	c.Goal, c.Start, c.Seed, c.Commit, c.Form = goal, time.Now().UTC().Truncate(time.Second), newSeed(), commit(), "short"
	c.More = map[string]any{}
	if *long {
		c.want, c.Form = longTrials, "long"
	}
	if *trials > 0 {
		c.want = *trials
	}
	if deadline, ok := t.Deadline(); ok && *long {
		c.until = deadline.Add(-3 * time.Minute) // to finish a round
	}
	if end := c.Start.Add(*limit); *limit > 0 && (c.until.IsZero() || end.Before(c.until)) {
		c.until = end
	}
	// An interrupted campaign finishes its round, and tells what it has.
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	c.ctx = ctx
	t.Logf("goal %d, %s form, seed %d", goal, c.Form, c.Seed)
	return c
}

func newSeed() uint64 {
	if *seedIs != 0 {
		return *seedIs
	}
	return uint64(rand.Uint32()) + 1
}

// again is the command that does the same to a cluster, in the same order.
func (c *campaign) again(more string) string {
	return fmt.Sprintf("go test -tags faults -count=1 -timeout 0 -v -run '^%s$' ./test/faults -faults.seed %d -goals.long=%t %s", c.Name(), c.seed(), *long, more)
}

// seed is that of the cluster at hand.
func (c *campaign) seed() uint64 { return c.Seed + c.number }

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// more tells whether there are trials to come.
func (c *campaign) more() bool {
	return c.Trials < c.want && c.Void <= c.want && c.failed < maxFailed && c.ctx.Err() == nil && (c.until.IsZero() || time.Now().Before(c.until))
}

// pick is a number of trials for one round: at most n, and no more than are left.
func (c *campaign) pick(n int) int { return min(n, c.want-c.Trials) }

// cluster gives body a test of its own, and random numbers of its own. When it
// fails the campaign goes on, with the next cluster.
func (c *campaign) cluster(body func(t *testing.T)) {
	broken, before := c.Broken, c.Trials
	c.rng = rand.New(rand.NewPCG(c.seed(), uint64(c.Goal)))
	if !c.Run(fmt.Sprintf("seed %d", c.seed()), body) {
		c.failed++
		if c.Broken == broken {
			c.Broken++ // it hung, or a broker died
		}
		length := ""
		if c.want != untilThen {
			length = fmt.Sprintf("-goals.trials %d", c.want-before)
		}
		c.Logf("a cluster failed, seed %d, after %d trials; the same faults again: %s", c.seed(), c.Trials, c.again(length))
	}
	c.number++
}

// rounds runs rounds on one cluster until it has had so many, or the campaign has
// what it wants. Each but the first begins with a new topic.
func (c *campaign) rounds(r *rig, most int, round func()) {
	for n := 0; n < most && c.more(); n++ {
		if n > 0 {
			r.nextRound()
		}
		round()
	}
}

// judge ends a round of trials, counts them and what was wrong, and fails the
// cluster if anything was.
func (c *campaign) judge(r *rig, n int, rules check.Rules) check.Report {
	r.Helper()
	report := r.finish(rules, campaignPatience)
	r.Logf("%d trials, %d before: %s", n, c.Trials, report.String())
	c.tally(&report, n)
	if len(report.Counts) > 0 {
		r.Fatal("the history breaks promises")
	}
	if report.Void != "" {
		r.Logf("void: %s", report.Void)
	}
	return report
}

func (c *campaign) tally(report *check.Report, n int) {
	c.Acked += report.Acked
	c.Lost += report.Counts[check.LostWrite] + report.Counts[check.Unseen]
	c.Dup += report.Counts[check.Duplicate]
	for _, n := range report.Counts {
		c.Broken += n
	}
	if report.Void != "" {
		c.Void += n
	} else {
		c.Trials += n
	}
}

// count adds to one of the further numbers of the line.
func (c *campaign) count(name string, n int) {
	before, _ := c.More[name].(int)
	c.More[name] = before + n
}

// finish prints the line and fails the test if the goal was missed. Limits of
// the samples are those of their percentiles; zero is none.
func (c *campaign) finish(of string, p50, p99, most time.Duration) {
	c.Helper()
	c.Of, c.Seconds = of, time.Since(c.Start).Round(time.Second).Seconds()
	at50, at99, at100 := percentile(c.samples, 50), percentile(c.samples, 99), percentile(c.samples, 100)
	c.P50, c.P99, c.Max = at50.Milliseconds(), at99.Milliseconds(), at100.Milliseconds()
	if len(c.samples) > 0 {
		c.More["samples"] = len(c.samples)
	}
	line, err := json.Marshal(&c.result)
	if err == nil {
		_, err = fmt.Fprintf(os.Stdout, "%s\n", line)
	}
	if err == nil && *results != "" {
		err = appendLine(*results, line)
	}
	if err != nil {
		c.Errorf("the line of goal %d: %v", c.Goal, err)
	}
	if c.Trials == 0 {
		c.Errorf("no trial proves anything")
	}
	for _, bound := range []struct {
		name       string
		got, limit time.Duration
	}{{"p50", at50, p50}, {"p99", at99, p99}, {"max", at100, most}} {
		if *long && bound.limit > 0 && bound.got > bound.limit { // a handful of trials says nothing of times
			c.Errorf("%s of %s: %s, want at most %s", bound.name, of, bound.got.Round(time.Millisecond), bound.limit)
		}
	}
}

func appendLine(name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// percentile is the least sample that so many percent are not above.
func percentile(samples []time.Duration, percent int) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
