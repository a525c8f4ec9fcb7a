// Package replication is the "chronik replication" command: the links between
// brokers, and which of them acks wait for.
package replication

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// NewCommand returns the replication command and its verbs.
func NewCommand(g *globals.Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "replication <command>",
		Short:   "Show the links between brokers",
		Long:    "Show how data flows between the brokers of a cluster.",
		Example: "  chronik replication status",
	}
	cmd.AddCommand(newStatus(g))
	return cmd
}

func newStatus(g *globals.Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state and lag of every link between brokers",
		Long: `Show, for every ordered pair of brokers, what the sending side reports: state,
partitions and how many of them are in sync, lag, throughput, round trip, the
follower's fsync, how long acks waited for it, and for what share of acks it
was the last one.

Each broker is asked for the links that leave it. One that gives no answer is
an error item, and its links are "unknown". On brokers that report no links
(Apache Kafka, Redpanda) lag is added up from the replicas; times are unknown.`,
		Example: `  chronik replication status
  chronik replication status -o json | jq '.data[] | select(.state != "ok")'
  chronik replication status --watch=1s`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return status(cmd.Context(), g)
		},
	}
	g.BindWatch(cmd.Flags())
	return cmd
}

func status(ctx context.Context, g *globals.Globals) error {
	_, err := g.Show(ctx, func(ctx context.Context, client *admin.Client) (*out.Result, error) {
		report, err := client.Replication(ctx)
		if err != nil {
			return nil, err
		}
		return Result(report), nil
	})
	return err
}

// summary is the summary of chronik.replication.status/v1.
type summary struct {
	Brokers int `json:"brokers"`
	Links   int `json:"links"`
	OK      int `json:"ok"`
	NotOK   int `json:"not_ok"`
}

// Result lays out a report.
func Result(report admin.ReplicationReport) *out.Result {
	s := summary{Brokers: len(report.Brokers), Links: len(report.Links)}
	r := &out.Result{
		Schema:    "chronik.replication.status/v1",
		ClusterID: report.ClusterID,
		Data:      report.Links,
		Errors:    globals.Failures(report.Problems),
		Notes:     report.Notes,
	}
	for _, l := range report.Links {
		if l.State == admin.LinkOK {
			s.OK++
		} else {
			s.NotOK++
		}
		r.Names = append(r.Names, fmt.Sprintf("%d->%d", l.From, l.To))
	}
	r.Summary = s
	r.Blocks = []out.Block{{Grid: linkGrid(report.Links), Empty: "no links: a broker alone replicates to nobody"}}
	if s.Links > 0 {
		r.Footer = []string{fmt.Sprintf("summary: %d brokers, %d links, %d not ok", s.Brokers, s.Links, s.NotOK)}
	}
	return r
}

func linkGrid(links []admin.Link) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "LINK", Field: "link", Level: out.Tables},
		{Header: "FROM", Field: "from", Right: true, Level: out.TSVOnly},
		{Header: "TO", Field: "to", Right: true, Level: out.TSVOnly},
		{Header: "STATE", Field: "state"},
		{Header: "PARTS", Field: "partitions", Right: true},
		{Header: "IN SYNC", Field: "in_sync", Right: true},
		{Header: "LAG", Field: "lag_records", Right: true},
		{Header: "LAG BYTES", Field: "lag_bytes", Right: true},
		{Header: "LAG TIME", Field: "lag_ms", Right: true},
		{Header: "BYTES/S", Field: "bytes_per_second", Right: true},
		{Header: "RTT p50", Field: "rtt_p50_us", Right: true},
		{Header: "RTT p99", Field: "rtt_p99_us", Right: true},
		{Header: "FSYNC p99", Field: "fsync_p99_us", Right: true},
		{Header: "ACK WAIT p99", Field: "ack_wait_p99_us", Right: true},
		{Header: "SLOWEST FOR", Field: "slowest_share", Right: true},
		{Header: "RECONNECTS", Field: "reconnects", Right: true, Level: out.WideTSV},
		{Header: "SOURCE", Field: "source", Level: out.WideTSV},
		{Header: "LAST ERROR", Field: "last_error"},
	}}
	for _, l := range links {
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(fmt.Sprintf("%d->%d", l.From, l.To)), out.Int(l.From), out.Int(l.To), out.State(l.State),
			out.OptInt(l.Partitions), inSync(l), out.OptCount(l.LagRecords), out.OptBytes(l.LagBytes), out.OptMillis(l.LagMillis),
			rate(l.BytesPerSecond), out.OptMicros(l.RTTP50Micros), out.OptMicros(l.RTTP99Micros),
			out.OptMicros(l.FsyncP99Micros), out.OptMicros(l.AckWaitP99), out.OptShare(l.SlowestShare),
			out.OptCount(l.Reconnects), out.Text(l.Source), lastError(l),
		})
	}
	return grid
}

func inSync(l admin.Link) out.Cell {
	cell := out.OptInt(l.InSync)
	if l.InSync != nil && l.Partitions != nil && *l.InSync < *l.Partitions {
		return cell.In(out.Warn)
	}
	return cell
}

func rate(bytesPerSecond *float64) out.Cell {
	if bytesPerSecond == nil {
		return out.Unknown()
	}
	return out.Bytes(int64(*bytesPerSecond))
}

// lastError is what the link last failed with. On a link that is well again it
// is history, which tables leave to -o json.
func lastError(l admin.Link) out.Cell {
	cell := out.OptText(l.LastError)
	if l.LastError != nil {
		cell.Raw = *l.LastError
	}
	if l.State == admin.LinkOK {
		cell.Text = "-"
	}
	return cell
}
