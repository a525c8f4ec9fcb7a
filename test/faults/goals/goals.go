// Package goals makes the table of docs/reliability.md from the lines that the
// campaigns print: what a release must reach, and what runs have reached.
package goals

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Result is the line of one run of one goal.
type Result struct {
	Goal       int       `json:"goal"`
	Trials     int       `json:"trials"`
	Acked      int       `json:"acked"`
	Lost       int       `json:"lost"`
	Dup        int       `json:"dup"`
	Violations int       `json:"violations"`
	Void       int       `json:"void"`
	P50        float64   `json:"p50"` // ms
	P99        float64   `json:"p99"`
	Max        float64   `json:"max"`
	Seed       uint64    `json:"seed"`
	Commit     string    `json:"commit"`
	Form       string    `json:"form"`
	Start      time.Time `json:"start"`
	Seconds    float64   `json:"seconds"`
	Of         string    `json:"of"`
	// More has the numbers that are a goal's own.
	More map[string]any `json:"more"`
}

// Read reads lines of results. Lines that are no JSON object are an error.
func Read(r io.Reader) ([]Result, error) {
	var all []Result
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var result Result
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, result)
	}
	return all, lines.Err()
}

// Goal is what a release must reach.
type Goal struct {
	Number int
	What   string
	// Floor is the least number of trials, and Acked of acknowledgements.
	Floor, Acked int
	// Bound is what else is asked for, in words.
	Bound string
}

// Goals are those of the product's plan that apply without transactions and
// security, in order.
var Goals = []Goal{
	{Number: 1, What: "SIGKILL of a random broker of three under idempotent acks=all load", Floor: 1000, Acked: 2_000_000, Bound: "0 lost, doubled or reordered"},
	{Number: 2, What: "power cut of all brokers at once, ext4", Floor: 200, Bound: "0 lost"},
	{Number: 3, What: "power cut of one broker's storage, in one process, ext4", Floor: 20_000, Bound: "0 lost"},
	{Number: 4, What: "simulated hours of a cluster", Floor: 10_000, Bound: "0 violations"},
	{Number: 5, What: "network partitions of every shape, five brokers", Floor: 500, Bound: "one acking leader per epoch"},
	{Number: 6, What: "files of a minority damaged, every kind of file and of harm", Floor: 500, Bound: "all noticed, 0 lost, repaired within 60 s"},
	{Number: 7, What: "every operation of a disk failing, in every way", Floor: 10_000, Bound: "no false ack"},
	{Number: 9, What: "SIGKILL of a leader to the next ack, 100 partitions", Floor: 100, Bound: "p50 ≤ 1 s, p99 ≤ 3 s, max ≤ 6 s"},
	{Number: 10, What: "graceful stop of a leader: gap between acks", Floor: 100, Bound: "p99 ≤ 300 ms, no client error"},
	{Number: 11, What: "restart after SIGKILL with 10 GiB in 1,000 partitions", Floor: 3, Bound: "≤ 5 s, clean ≤ 1 s"},
	{Number: 12, What: "in sync again after a minute away at 20 MB/s", Floor: 3, Bound: "≤ 30 s, p99 of producers < 2×"},
	{Number: 15, What: "leader frozen for 1 to 60 s", Floor: 300, Bound: "0 stale acks and reads"},
	{Number: 16, What: "brokers within 256 MiB, tenfold bursts, slow consumers", Floor: 3, Bound: "never killed for memory"},
	{Number: 17, What: "load held under random faults", Floor: 1, Bound: "≥ 2,000 acks/s, acks in ≥ 99.9 % of seconds"},
	{Number: 19, What: "deliberately broken builds caught", Floor: 10, Bound: "all, ≤ 10 minutes each"},
}

// sum is all runs of one goal.
type sum struct {
	trials, acked, lost, dup, violations, void, runs int
	seconds                                          float64
	last                                             Result
	commits                                          map[string]bool
}

// Table writes the table of all goals, as markdown. Trials of several runs add
// up; percentiles are those of the last run. Short forms count for nothing.
func Table(results []Result) string {
	sums := map[int]*sum{}
	for _, r := range results {
		if r.Form == "short" {
			continue
		}
		s := sums[r.Goal]
		if s == nil {
			s = &sum{commits: map[string]bool{}}
			sums[r.Goal] = s
		}
		s.add(r)
	}
	var b strings.Builder
	b.WriteString("| # | what | floor | trials | acked | lost | doubled | violations | void | ms: p50 / p99 / max | reached |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range Goals {
		s := cmp.Or(sums[g.Number], &sum{})
		fmt.Fprintf(&b, "| %d | %s; %s | %s | %s | %s | %d | %d | %d | %d | %s | %s |\n", g.Number, g.What, g.Bound,
			thousands(g.Floor), thousands(s.trials), thousands(s.acked), s.lost, s.dup, s.violations, s.void, times(s.last), s.verdict(g))
	}
	return b.String()
}

func (s *sum) add(r Result) {
	s.trials += r.Trials
	s.acked += r.Acked
	s.lost += r.Lost
	s.dup += r.Dup
	s.violations += r.Violations
	s.void += r.Void
	s.runs++
	s.seconds += r.Seconds
	s.last = r
	s.commits[r.Commit] = true
}

// verdict says whether the floor was reached. Bounds on times are judged by the
// campaigns themselves, which then count a violation or fail.
func (s *sum) verdict(g Goal) string {
	switch {
	case s.runs == 0:
		return "not run"
	case s.lost+s.dup+s.violations > 0:
		return "**no**: promises broken"
	case s.trials < g.Floor:
		return fmt.Sprintf("not yet: %d %%", 100*s.trials/g.Floor)
	case s.acked < g.Acked:
		return fmt.Sprintf("not yet: %d %% of the acks", 100*s.acked/g.Acked)
	default:
		return "yes"
	}
}

func times(r Result) string {
	if r.Of == "" {
		return "-"
	}
	if r.Max == 0 && r.P99 > 0 {
		return fmt.Sprintf("%s: %.0f / %.0f", r.Of, r.P50, r.P99) // a campaign that keeps no maximum
	}
	return fmt.Sprintf("%s: %.0f / %.0f / %.0f", r.Of, r.P50, r.P99, r.Max)
}

// thousands writes a number with separators.
func thousands(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Runs lists the runs behind the table, as markdown.
func Runs(results []Result) string {
	var b strings.Builder
	b.WriteString("| # | started | minutes | trials | violations | seed | commit | further |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		if r.Form == "short" {
			continue
		}
		var further []string
		for _, name := range slices.Sorted(maps.Keys(r.More)) {
			further = append(further, fmt.Sprintf("%s %v", strings.ReplaceAll(name, "_", " "), r.More[name]))
		}
		fmt.Fprintf(&b, "| %d | %s | %.0f | %s | %d | %d | `%s` | %s |\n", r.Goal, r.Start.Format("2006-01-02 15:04"), r.Seconds/60,
			thousands(r.Trials), r.Violations, r.Seed, r.Commit, strings.Join(further, ", "))
	}
	return b.String()
}
