package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chronik-project/chronik/internal/admin"
	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// acksAllSummary is the summary of chronik.bench.acks-all/v1.
type acksAllSummary struct {
	Interrupted bool `json:"interrupted"`
	Valid       bool `json:"valid"` // the generator was punctual
	// Verified is null when verification was not asked for.
	Verified         *bool `json:"verified"`
	AssertionsFailed int   `json:"assertions_failed"`
}

// acksAllResult lays out a report.
func acksAllResult(report *engine.Report) *out.Result {
	s := acksAllSummary{Interrupted: report.Interrupted, Valid: report.Generator.Valid}
	if v := report.Verification; v != nil {
		s.Verified = &v.OK
	}
	for _, a := range report.Assertions {
		if !a.Holds {
			s.AssertionsFailed++
		}
	}
	r := &out.Result{
		Schema:    "chronik.bench.acks-all/v1",
		ClusterID: deref(report.Environment.Cluster.ID),
		Data:      report,
		Errors:    armFailures(report.Arms),
		Summary:   s,
		Notes:     report.Warnings,
		Blocks:    []out.Block{{Head: acksAllHead(report), Grid: armGrid(report.Arms)}},
		Footer:    acksAllFooter(report),
	}
	for _, arm := range report.Arms {
		r.Names = append(r.Names, string(arm.Acks))
	}
	return r
}

// acksAllHead says what was measured: no number without it.
func acksAllHead(r *engine.Report) []string {
	s := r.Settings
	load := fmt.Sprintf("CLOSED LOOP of %d: stalls hide from these quantiles", orZero(s.Concurrency))
	if s.RatePerSecond != nil {
		load = fmt.Sprintf("open loop, %s arrivals, %s/s on each arm", *s.Arrival, groupFloat(*s.RatePerSecond))
	}
	head := []string{
		"topic      " + topicLine(r.Environment.Topic),
		fmt.Sprintf("load       %s, %s records", load, out.FormatBytes(int64(s.RecordBytes))),
		fmt.Sprintf("client     no linger, no compression, %d in flight per broker, idempotence and retries off (on in all+idempotent)", s.InflightPerBroker),
		fmt.Sprintf("turns      %d of %s for each arm, after %s", s.BlocksPerArm, duration(s.BlockMillis), warmupWords(r.Warmup)),
		"generator  " + generatorLine(r),
	}
	if share := r.Environment.ISR.FullShare; share != nil {
		head = append(head, fmt.Sprintf("ISR        full in %.0f%% of the looks, %d at the least", *share*100, orZero(r.Environment.ISR.Smallest)))
	}
	head = append(head, workerLines(r.Workers)...)
	if r.Interrupted {
		head = append(head, "INTERRUPTED: this is what there was until then")
	}
	return append(head, "")
}

func warmupWords(w engine.WarmupReport) string {
	if w.Converged == nil {
		return "no warm-up"
	}
	state := "settled"
	if !*w.Converged {
		state = "NOT SETTLED"
	}
	took := (time.Duration(w.Millis) * time.Millisecond).Round(100 * time.Millisecond)
	return fmt.Sprintf("%s of warm-up (%s; %s records, not measured)", took, state, group(w.Records))
}

func topicLine(t engine.TopicEnvironment) string {
	parts := []string{fmt.Sprintf("%d partitions", t.Partitions), unknownInt(t.ReplicationFactor) + " replicas", "min.insync.replicas " + unknown(t.MinInsync)}
	if t.Flush != nil {
		parts = append(parts, "flush "+*t.Flush)
	}
	switch {
	case !t.Temporary:
		parts = append(parts, "existing")
	case t.Kept:
		parts = append(parts, "kept")
	default:
		parts = append(parts, "temporary")
	}
	return t.Name + ": " + strings.Join(parts, ", ")
}

func generatorLine(r *engine.Report) string {
	if r.Load == engine.LoadClosed {
		return "paced by the answers"
	}
	g := r.Generator
	line := fmt.Sprintf("late by %s at p50, %s at p99", optMicros(g.LatenessP50).Text, optMicros(g.LatenessP99).Text)
	if g.Pacing != nil {
		line += " (" + string(*g.Pacing) + ")"
	}
	if g.Shed > 0 {
		line += fmt.Sprintf(", %s records shed", group(g.Shed))
	}
	if g.Valid {
		return line + ": OK"
	}
	return line + ": INVALID, " + deref(g.Reason)
}

func armGrid(arms []engine.ArmReport) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "ACKS", Field: "acks"},
		{Header: "OFFERED/S", Field: "offered_per_second", Right: true, Level: out.WideTSV},
		{Header: "SENT", Field: "sent", Right: true},
		{Header: "ACKED", Field: "acked", Right: true},
		{Header: "ERRORS", Field: "errors", Right: true},
		{Header: "ACHIEVED/S", Field: "achieved_per_second", Right: true},
		{Header: "p50", Field: "p50_us", Right: true},
		{Header: "p90", Field: "p90_us", Right: true},
		{Header: "p99", Field: "p99_us", Right: true},
		{Header: "p99.9", Field: "p999_us", Right: true},
		{Header: "p99.99", Field: "p9999_us", Right: true},
		{Header: "MAX", Field: "max_us", Right: true},
		{Header: "SERVICE p99", Field: "service_p99_us", Right: true},
		{Header: "LATE p99", Field: "lateness_p99_us", Right: true, Level: out.WideTSV},
		{Header: "LATENCY OF", Field: "latency_of"},
	}}
	for _, arm := range arms {
		grid.Rows = append(grid.Rows, armRow(arm))
	}
	return grid
}

func armRow(arm engine.ArmReport) []out.Cell {
	tone := out.Plain
	if !arm.Acks.Acknowledged() {
		tone = out.Dim // not to be ranked with the others
	}
	failed := out.Count(arm.Errors)
	if arm.Errors > 0 {
		failed = failed.In(out.Bad)
	}
	ackedCell := out.Text("n.a.")
	if arm.Acked != nil {
		ackedCell = out.Count(*arm.Acked)
	} else {
		ackedCell.Raw = "-"
	}
	q := arm.Response
	return []out.Cell{
		out.Text(string(arm.Acks)),
		optRate(arm.OfferedPerSecond),
		out.Count(arm.Sent),
		ackedCell,
		failed,
		rate(arm.AchievedPerSecond),
		optMicros(q.P50).In(tone), optMicros(q.P90).In(tone), optMicros(q.P99).In(tone),
		optMicros(q.P999).In(tone), optMicros(q.P9999).In(tone), optMicros(q.Max).In(tone),
		optMicros(arm.Service.P99).In(tone),
		optMicros(arm.Lateness.P99).In(tone),
		out.Text(arm.LatencyOf).In(tone),
	}
}

func acksAllFooter(r *engine.Report) []string {
	footer := append(hiddenLines(r), stageLines(r.Stages, r.StagesNotes)...)
	footer = append(footer, faultLines(r)...)
	footer = append(footer, eventLines(r.Events)...)
	footer = append(footer, "", "integrity  "+verdict(r.Verification))
	for _, p := range problems(r.Verification) {
		footer = append(footer, "           "+p)
	}
	footer = append(footer, replicaLines(r.Replicas)...)
	return append(footer, assertionLines(r.Assertions)...)
}

func assertionLines(all []engine.Assertion) []string {
	var lines []string
	for _, a := range all {
		word := "holds"
		if !a.Holds {
			word = "FAILED"
		}
		lines = append(lines, fmt.Sprintf("assert     %s %s (%s)", a.Text, word, a.Detail))
	}
	return lines
}

// hiddenLines say what a benchmark would not have shown that counts from when it
// sent a record, and not from when the record was due.
func hiddenLines(r *engine.Report) []string {
	var lines []string
	for _, arm := range r.Arms {
		due, sent := arm.Response.P99, arm.Service.P99
		if r.Load == engine.LoadClosed || !arm.Acks.Acknowledged() || due == nil || sent == nil || *due-*sent < *due/5 {
			continue
		}
		hidden := *due - *sent
		lines = append(lines, fmt.Sprintf("hidden     %s of the p99 of acks=%s, if latency counted from the send (coordinated omission)", optMicros(&hidden).Text, arm.Acks))
	}
	if len(lines) > 0 {
		lines = append([]string{""}, lines...)
	}
	return lines
}

// armFailures lists failed records by arm and error.
func armFailures(arms []engine.ArmReport) []out.Failure {
	var failures []out.Failure
	for _, arm := range arms {
		failures = append(failures, failuresOf("acks="+string(arm.Acks), arm.ErrorsByCode, arm.Offered)...)
	}
	return failures
}

func failuresOf(subject string, byCode map[string]int64, offered int64) []out.Failure {
	names := make([]string, 0, len(byCode))
	for name := range byCode {
		names = append(names, name)
	}
	slices.Sort(names)
	var failures []out.Failure
	for _, name := range names {
		f := out.Failure{
			Subject: subject, Code: name,
			Message: fmt.Sprintf("%s of %s records failed", group(byCode[name]), group(offered)),
			Hint:    clientHints[name],
		}
		if info, ok := admin.LookupCode(name); ok {
			f.KafkaCode, f.Hint = &info.Code, info.Next
		} else {
			f.Message = name + ": " + f.Message
		}
		failures = append(failures, f)
	}
	return failures
}

// clientHints say what to do about failures that no broker has a name for.
var clientHints = map[string]string{
	engine.FailureShed:         "the cluster fell too far behind the schedule: lower --rate, or allow more with --max-buffered",
	engine.FailureTimeout:      "chronik isr show says whether a follower holds acks back",
	engine.FailureDisconnected: "a connection to a leader broke: chronik isr show says who leads now",
}

// verdict is the result of reading back in one line.
func verdict(v *engine.Verification) string {
	if v == nil {
		return "not verified (--verify off)"
	}
	parts := []string{
		group(v.ReadBack) + " read back",
		fmt.Sprintf("lost %s, duplicates %s, reordered %s, corrupt %s", group(v.Lost), group(v.Duplicates), group(v.Reordered), group(v.Corrupt)),
	}
	if v.Misplaced > 0 {
		parts = append(parts, group(v.Misplaced)+" not where the ack said")
	}
	if v.LostUnpromised > 0 {
		parts = append(parts, group(v.LostUnpromised)+" of acks=1 lost to the faults, which promised nothing")
	}
	if v.Unsampled > 0 {
		parts = append(parts, "a SAMPLE: "+group(v.Unsampled)+" not looked for")
	}
	if v.UnackedPresent > 0 {
		parts = append(parts, group(v.UnackedPresent)+" there without an ack, which is legal")
	}
	line := strings.Join(parts, "; ")
	switch {
	case !v.Complete:
		return fmt.Sprintf("INCOMPLETE: %s; %s acked records could not be read: %s", line, group(v.Unverified), v.Reason)
	case !v.OK:
		return "FAILED: " + line
	default:
		return "OK: " + line
	}
}

// problems are the examples, one line each.
func problems(v *engine.Verification) []string {
	if v == nil {
		return nil
	}
	lines := make([]string, 0, len(v.Problems))
	for _, p := range v.Problems {
		lines = append(lines, fmt.Sprintf("%s: partition %d offset %d, acks=%s, producer %d sequence %d: %s",
			p.Kind, p.Partition, p.Offset, p.Acks, p.Producer, p.Sequence, p.Detail))
	}
	return lines
}

// duration shows milliseconds as people write them.
func duration(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }
