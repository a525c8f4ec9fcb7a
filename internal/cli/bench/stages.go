package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

// Values of --traces, beside addresses.
const (
	tracesAuto = "auto"
	tracesOff  = "off"
)

// parseTraces reads --traces.
func parseTraces(s string) (addrs map[int32]string, skip bool, err error) {
	switch s {
	case tracesAuto, "":
		return nil, false, nil
	case tracesOff:
		return nil, true, nil
	}
	if addrs, err = engine.ParseTraces(s); err != nil {
		return nil, false, exit.Usagef("for example --traces 1=10.0.0.1:9292,2=10.0.0.2:9292", "--traces: %w", err)
	}
	return addrs, false, nil
}

// stageColumns are the headers of the stages, in the order of a record's way.
var stageColumns = []string{"client", "net", "queue", "append", "fsync", "follower", "respond", "TOTAL"}

// stageLines lays out where the time goes, in milliseconds. What is shown adds
// up: rounding is shared out.
func stageLines(reports []engine.StageReport, notes []string) []string {
	const title = "where the time goes, in ms"
	width := len(title) + 2
	for _, r := range reports {
		for _, c := range r.Cohorts {
			width = max(width, len(stageName(r, c))+1)
		}
	}
	var lines []string
	for _, r := range reports {
		for _, c := range r.Cohorts {
			if c.Name == engine.CohortAll {
				continue
			}
			line := fmt.Sprintf("%-*s%s   %s", width, stageName(r, c), stageCells(c), lastWords(c))
			lines = append(lines, strings.TrimRight(line, " "))
			if f := c.Follower; f != nil && c.Slowest != nil && *c.Slowest > 0 {
				lines = append(lines, fmt.Sprintf("%*s%s", width, "", followerWords(*c.Slowest, f)))
			}
		}
	}
	if len(lines) == 0 && len(notes) == 0 {
		return nil
	}
	if len(lines) > 0 {
		head := fmt.Sprintf("%-*s", width, title)
		for _, name := range stageColumns {
			head += fmt.Sprintf("%9s", name)
		}
		lines = append([]string{head + "   LAST WAITED FOR"}, lines...)
	}
	for _, note := range notes {
		lines = append(lines, "           "+note)
	}
	return append([]string{""}, lines...)
}

func stageName(r engine.StageReport, c engine.Cohort) string {
	return fmt.Sprintf("  acks=%s %s p%s-p%s", r.Acks, c.Name, percent(c.From), percent(c.To))
}

func percent(q float64) string { return strconv.FormatFloat(math.Round(q*1e4)/100, 'f', -1, 64) }

// shownUnit is the last digit of a shown time.
const shownUnit = 10 * time.Microsecond

// shown rounds parts that add up to total so that what is shown does as well.
func shown(totalMicros float64, parts []float64) (total time.Duration, each []time.Duration) {
	exact := make([]time.Duration, len(parts))
	for i, us := range parts {
		exact[i] = time.Duration(us * float64(time.Microsecond))
	}
	total = time.Duration(totalMicros*float64(time.Microsecond)).Round(shownUnit) / shownUnit
	return total, engine.Apportion(total, exact)
}

func hundredths(units time.Duration) string {
	return strconv.FormatFloat(float64(units)/100, 'f', 2, 64)
}

func stageCells(c engine.Cohort) string {
	optional := []*float64{&c.Client, &c.Net, c.Queue, c.Append, c.Fsync, c.Slowest, c.Respond}
	parts := make([]float64, len(optional))
	for i, us := range optional {
		if us != nil {
			parts[i] = *us
		}
	}
	total, each := shown(c.Mean, parts)
	var line strings.Builder
	for i, us := range optional {
		cell := "-"
		if us != nil {
			cell = hundredths(each[i])
		}
		fmt.Fprintf(&line, "%9s", cell)
	}
	fmt.Fprintf(&line, "%9s", hundredths(total))
	return line.String()
}

func followerWords(total float64, f *engine.FollowerPath) string {
	names := []string{"link", "net", "queue", "fsync", "in-sync change"}
	_, each := shown(total, []float64{f.Link, f.Net, f.Queue, f.Fsync, f.Other})
	var parts []string
	for i, name := range names {
		if each[i] > 0 {
			parts = append(parts, name+" "+hundredths(each[i]))
		}
	}
	return "   of follower: " + strings.Join(parts, ", ")
}

// lastWords says who was last: "follower 3 in 79%, the leader in 12%".
func lastWords(c engine.Cohort) string {
	if c.ReplicationEstimate != nil {
		return fmt.Sprintf("replication ~ %.2f (estimate: all less 1)", *c.ReplicationEstimate/1000)
	}
	var words []string
	leaders := 0.0
	for _, l := range c.Last {
		switch l.Role {
		case engine.RoleLeader:
			leaders += l.Share
		case engine.RoleFollower:
			words = append(words, fmt.Sprintf("follower %d in %.0f%%", *l.Broker, 100*l.Share))
		default:
			words = append(words, fmt.Sprintf("an in-sync change in %.0f%%", 100*l.Share))
		}
	}
	if leaders > 0 {
		words = append(words, fmt.Sprintf("the leader's disk in %.0f%%", 100*leaders))
	}
	return strings.Join(words, ", ")
}
