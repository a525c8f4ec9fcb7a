package bench

import (
	"fmt"

	engine "github.com/chronik-project/chronik/internal/bench"
)

// faultLines say what was done to the cluster, and what each arm took before,
// during and after it.
func faultLines(r *engine.Report) []string {
	if len(r.Faults) == 0 {
		return nil
	}
	lines := []string{""}
	for i, f := range r.Faults {
		label := "faults     "
		if i > 0 {
			label = "           "
		}
		lines = append(lines, label+faultLine(f))
	}
	if r.FaultsBeganMs == nil {
		return lines
	}
	span := fmt.Sprintf("during     from %s on: not every fault was undone, and every replica in sync, before the load ended", millis(milliseconds(*r.FaultsBeganMs)))
	if r.FaultsEndedMs != nil {
		span = fmt.Sprintf("during     from %s to %s, when every replica was in sync again", millis(milliseconds(*r.FaultsBeganMs)), millis(milliseconds(*r.FaultsEndedMs)))
	}
	lines = append(lines, span, fmt.Sprintf("           %-16s %-7s %9s %9s %9s %9s %9s %7s", "acks", "phase", "records", "p50", "p99", "p99.9", "max", "errors"))
	for _, p := range r.FaultPhases {
		q := p.Response
		lines = append(lines, fmt.Sprintf("           %-16s %-7s %9s %9s %9s %9s %9s %7s", p.Acks, p.Phase, group(q.Count),
			optMicros(q.P50).Text, optMicros(q.P99).Text, optMicros(q.P999).Text, optMicros(q.Max).Text, group(p.Errors)))
	}
	return lines
}

func faultLine(f engine.FaultRun) string {
	line := f.Fault
	if f.Broker >= 0 {
		line += fmt.Sprintf(": broker %d at %s, done in %s", f.Broker, millis(milliseconds(f.AtMs)), millis(milliseconds(f.TookMs)))
	}
	if f.UndoneMs != nil {
		line += ", undone at " + millis(milliseconds(*f.UndoneMs))
	}
	if f.UnavailableMs != nil && f.UnavailablePartition != nil {
		line += fmt.Sprintf("; at most %s without an ack (partition %d)", millis(milliseconds(*f.UnavailableMs)), *f.UnavailablePartition)
		if f.FirstAckMs == nil {
			line += ", which did not end"
		}
	}
	if f.Error != "" {
		line += "; FAILED: " + f.Error
	}
	return line
}

// replicaLines are what reading every replica found.
func replicaLines(c *engine.ReplicaCheck) []string {
	if c == nil {
		return nil
	}
	line := fmt.Sprintf("replicas   %s read from their own brokers, %d differ from their leader", plural(c.Replicas, "replica"), len(c.Diverged))
	if len(c.Unread) > 0 {
		line += fmt.Sprintf(", %d could not be read", len(c.Unread))
	}
	lines := []string{line}
	for _, p := range append(c.Diverged, c.Unread...) {
		lines = append(lines, fmt.Sprintf("           broker %d partition %d: %s", p.Broker, p.Partition, p.Detail))
	}
	return lines
}

// eventLimit is how many events a terminal gets; a saved run has all.
const eventLimit = 20

// eventLines are what happened to the cluster meanwhile.
func eventLines(events []engine.Event) []string {
	if len(events) == 0 {
		return nil
	}
	lines := []string{""}
	for i, e := range events {
		if i == eventLimit {
			return append(lines, fmt.Sprintf("           and %d more", len(events)-i))
		}
		label := "           "
		if i == 0 {
			label = "events     "
		}
		lines = append(lines, fmt.Sprintf("%s%7.1fs  %s", label, float64(e.Millis)/1000, e.Detail))
	}
	return lines
}
