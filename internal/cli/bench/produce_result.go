package bench

import (
	"fmt"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// produceSummary is the summary of chronik.bench.produce/v1.
type produceSummary struct {
	Interrupted bool `json:"interrupted"`
	// Verified is null when verification was not asked for.
	Verified *bool `json:"verified"`
}

// produceResult lays out a report.
func produceResult(report *engine.ProduceReport) *out.Result {
	s := produceSummary{Interrupted: report.Interrupted}
	if v := report.Verification; v != nil {
		s.Verified = &v.OK
	}
	footer := []string{"", "integrity  " + verdict(report.Verification)}
	for _, p := range problems(report.Verification) {
		footer = append(footer, "           "+p)
	}
	return &out.Result{
		Schema:    "chronik.bench.produce/v1",
		ClusterID: deref(report.Environment.Cluster.ID),
		Data:      report,
		Errors:    failuresOf("acks="+string(report.Settings.Acks), report.ErrorsByCode, report.Sent),
		Summary:   s,
		Notes:     report.Warnings,
		Blocks:    []out.Block{{Head: produceHead(report), Grid: produceGrid(report)}},
		Footer:    footer,
		Names:     []string{report.Environment.Topic.Name},
	}
}

func produceHead(r *engine.ProduceReport) []string {
	s := r.Settings
	head := []string{
		"topic      " + topicLine(r.Environment.Topic),
		fmt.Sprintf("load       as fast as it goes, %s, %s records", plural(s.Producers, "producer"), out.FormatBytes(int64(s.RecordBytes))),
		fmt.Sprintf("client     linger %s, compression %s, partitioner %s; %s records of warm-up not measured",
			duration(s.LingerMicros/1000), s.Compression, s.Partitioner, group(s.WarmupRecords)),
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
