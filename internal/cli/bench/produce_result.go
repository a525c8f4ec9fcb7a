package bench

import (
	"fmt"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// throughputSummary is the summary of chronik.bench.produce/v1 and consume/v1.
type throughputSummary struct {
	Interrupted bool `json:"interrupted"`
	// Verified is null when verification was not asked for.
	Verified *bool `json:"verified"`
}

func newThroughputSummary(interrupted bool, v *engine.Verification) throughputSummary {
	s := throughputSummary{Interrupted: interrupted}
	if v != nil {
		s.Verified = &v.OK
	}
	return s
}

// produceResult lays out a report.
func produceResult(report *engine.ProduceReport) *out.Result {
	return throughputResult("chronik.bench.produce/v1", report, report.Environment, report.Verification, out.Result{
		Errors:  failuresOf("acks="+string(report.Settings.Acks), report.ErrorsByCode, report.Sent),
		Summary: newThroughputSummary(report.Interrupted, report.Verification),
		Notes:   report.Warnings,
		Blocks:  []out.Block{{Head: produceHead(report), Grid: produceGrid(report)}},
	})
}

// throughputResult completes the result of producing or consuming.
func throughputResult(schema string, data any, env engine.Environment, v *engine.Verification, r out.Result) *out.Result {
	r.Schema, r.Data, r.ClusterID = schema, data, deref(env.Cluster.ID)
	r.Names = []string{env.Topic.Name}
	r.Footer = []string{"", "integrity  " + verdict(v)}
	for _, p := range problems(v) {
		r.Footer = append(r.Footer, "           "+p)
	}
	return &r
}

func produceHead(r *engine.ProduceReport) []string {
	s := r.Settings
	head := []string{
		"topic      " + topicLine(r.Environment.Topic),
		fmt.Sprintf("load       as fast as it goes, %s, %s records", plural(s.Producers, "producer"), out.FormatBytes(int64(s.RecordBytes))),
		fmt.Sprintf("client     linger %s, compression %s, partitioner %s; %s records of warm-up not measured",
			duration(s.LingerMicros/1000), s.Compression, s.Partitioner, group(s.WarmupRecords)),
		"seconds    " + slowestWords(r.Seconds),
	}
	if r.Interrupted {
		head = append(head, "INTERRUPTED: this is what there was until then")
	}
	return append(head, "")
}

func produceGrid(r *engine.ProduceReport) out.Grid {
	ackedCell := out.Text("n.a.")
	ackedCell.Raw = "-"
	if r.Acked != nil {
		ackedCell = out.Count(*r.Acked)
	}
	return out.Grid{
		Columns: []out.Column{
			{Header: "ACKS", Field: "acks"},
			{Header: "SENT", Field: "sent", Right: true},
			{Header: "ACKED", Field: "acked", Right: true},
			{Header: "ERRORS", Field: "errors", Right: true},
			{Header: "TIME", Field: "ms", Right: true},
			{Header: "RECORDS/S", Field: "records_per_second", Right: true},
			{Header: "MB/S", Field: "mb_per_second", Right: true},
			{Header: "QUEUE+ACK p50", Field: "ack_p50_us", Right: true},
			{Header: "p99", Field: "ack_p99_us", Right: true},
		},
		Rows: [][]out.Cell{{
			out.Text(string(r.Settings.Acks)), out.Count(r.Sent), ackedCell, out.Count(r.Errors),
			{Text: millis(milliseconds(r.Millis)), Raw: fmt.Sprint(r.Millis)},
			rate(r.RecordsPerSecond),
			{Text: fmt.Sprintf("%.1f", r.MBPerSecond)},
			optMicros(r.Ack.P50), optMicros(r.Ack.P99),
		}},
	}
}
