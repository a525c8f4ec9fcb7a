package bench

import (
	"fmt"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// consumeResult lays out a report.
func consumeResult(report *engine.ConsumeReport) *out.Result {
	return throughputResult("chronik.bench.consume/v1", report, report.Environment, report.Verification, out.Result{
		Summary: newThroughputSummary(report.Interrupted, report.Verification),
		Notes:   report.Warnings,
		Blocks:  []out.Block{{Head: consumeHead(report), Grid: consumeGrid(report)}},
	})
}

func consumeHead(r *engine.ConsumeReport) []string {
	s := r.Settings
	load := fmt.Sprintf("%s offsets that were there", group(r.Expected))
	if s.Filled {
		load = fmt.Sprintf("%s records of %s, written before with compression %s", group(s.FilledRecords), out.FormatBytes(int64(s.RecordBytes)), s.Compression)
	}
	head := []string{
		"topic      " + topicLine(r.Environment.Topic),
		"load       " + load,
		"client     " + plural(s.Consumers, "consumer") + ", " + fetchWords(s.Fetch),
		"seconds    " + slowestWords(r.Seconds),
	}
	if r.Interrupted {
		head = append(head, "INTERRUPTED: this is what there was until then")
	}
	return append(head, "")
}

// slowestWords say how even the rate was, by the whole seconds.
func slowestWords(seconds []engine.Second) string {
	if len(seconds) < 2 {
		return "too short to tell how even the rate was"
	}
	whole := seconds[:len(seconds)-1]
	least, most := whole[0].Bytes, whole[0].Bytes
	for _, s := range whole {
		least, most = min(least, s.Bytes), max(most, s.Bytes)
	}
	return fmt.Sprintf("%.1f to %.1f MB in each", float64(least)/1e6, float64(most)/1e6)
}

func consumeGrid(r *engine.ConsumeReport) out.Grid {
	first := out.Cell{Text: "-"}
	if r.FirstMillis != nil {
		first = out.Cell{Text: millis(milliseconds(*r.FirstMillis)), Raw: fmt.Sprint(*r.FirstMillis)}
	}
	return out.Grid{
		Columns: []out.Column{
			{Header: "CONSUMERS", Field: "consumers", Right: true},
			{Header: "RECORDS", Field: "records", Right: true},
			{Header: "BYTES", Field: "bytes", Right: true},
			{Header: "TIME", Field: "ms", Right: true},
			{Header: "FIRST AFTER", Field: "first_record_ms", Right: true},
			{Header: "RECORDS/S", Field: "records_per_second", Right: true},
			{Header: "MB/S", Field: "mb_per_second", Right: true},
		},
		Rows: [][]out.Cell{{
			out.Count(int64(r.Settings.Consumers)), out.Count(r.Records), out.Count(r.Bytes),
			{Text: millis(milliseconds(r.Millis)), Raw: fmt.Sprint(r.Millis)},
			first,
			rate(r.RecordsPerSecond),
			{Text: fmt.Sprintf("%.1f", r.MBPerSecond)},
		}},
	}
}
