package bench

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// e2eResult lays out a report.
func e2eResult(report *engine.E2EReport) *out.Result {
	r := acksAllResult(&report.Report)
	r.Schema, r.Data = engine.SavedE2E, report
	head := slices.Insert(acksAllHead(&report.Report), 3, "consumer   all partitions, "+fetchWords(report.Fetch))
	r.Blocks = []out.Block{{Head: head, Grid: e2eGrid(report)}}
	return r
}

func fetchWords(f engine.Fetching) string {
	return fmt.Sprintf("fetches of %s to %s, up to %s of a partition, that wait for %s at most",
		out.FormatBytes(int64(f.MinBytes)), out.FormatBytes(int64(f.MaxBytes)), out.FormatBytes(int64(f.MaxPartitionBytes)), duration(f.MaxWaitMillis))
}

// e2eGrid has a row for each part of the way.
func e2eGrid(r *engine.E2EReport) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "FROM", Field: "from"},
		{Header: "TO", Field: "to"},
		{Header: "RECORDS", Field: "records", Right: true},
		{Header: "ERRORS", Field: "errors", Right: true},
		{Header: "p50", Field: "p50_us", Right: true},
		{Header: "p90", Field: "p90_us", Right: true},
		{Header: "p99", Field: "p99_us", Right: true},
		{Header: "p99.9", Field: "p999_us", Right: true},
		{Header: "p99.99", Field: "p9999_us", Right: true},
		{Header: "MAX", Field: "max_us", Right: true},
	}}
	whole, acked := r.Arms[0], "ack"
	if !whole.Acks.Acknowledged() {
		acked = "send (not an ack)"
	}
	for _, row := range []struct {
		from, to string
		failed   int64
		tone     out.Tone
		times    engine.Quantiles
	}{
		{from: "due", to: "consumed", failed: whole.Errors, times: whole.Response},
		{from: "due", to: acked, failed: r.Ack.Errors, times: r.Ack.Response},
		{from: acked, to: "consumed", times: r.AckToConsumed},
		{from: "sent", to: "consumed", failed: whole.Errors, times: whole.Service, tone: out.Dim},
	} {
		q := row.times
		failed := out.Count(row.failed)
		if row.failed > 0 {
			failed = failed.In(out.Bad)
		}
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(row.from), out.Text(row.to), out.Count(q.Count), failed,
			optMicros(q.P50).In(row.tone), optMicros(q.P90).In(row.tone), optMicros(q.P99).In(row.tone),
			optMicros(q.P999).In(row.tone), optMicros(q.P9999).In(row.tone), optMicros(q.Max).In(row.tone),
		})
	}
	return grid
}

// saveHops writes the histograms of the parts of the way.
func saveHops(dir string, report *engine.E2EReport) error {
	if dir == "" {
		return nil
	}
	var errs []error
	for _, h := range engine.Hops() {
		errs = append(errs, save(filepath.Join(dir, string(h)+".hlog"), func(w io.Writer) error { return report.WriteHopLog(w, h) }))
	}
	return errors.Join(errs...)
}
