package topic

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// describeOptions is the command line of topic describe.
type describeOptions struct {
	names []string
	all   bool
}

func newDescribe(g *globals.Globals) *cobra.Command {
	var o describeOptions
	cmd := &cobra.Command{
		Use:     "describe NAME...",
		Aliases: []string{"info"},
		Short:   "Show a topic's settings, partitions and replicas",
		Long: `Show a topic's settings, and for each partition its leader, replicas, in-sync
and eligible replicas, offsets and size.

Settings that the topic does not set itself are counted; --all lists them.
TSV has one line a partition, JSON one object a topic with everything.`,
		Example: `  chronik topic describe orders
  chronik topic describe orders --all
  chronik topic describe orders -o json`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: g.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return describe(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "list the settings that have their defaults too")
	g.BindWatch(cmd.Flags())
	return cmd
}

func describe(ctx context.Context, g *globals.Globals, o describeOptions) error {
	_, err := g.Show(ctx, func(ctx context.Context, client *admin.Client) (*out.Result, error) {
		details, err := client.DescribeTopics(ctx, o.names)
		if err != nil {
			return nil, err
		}
		if len(o.names) == 1 && len(details.Problems) == 1 && len(details.Topics) == 0 {
			return nil, details.Problems[0].Err
		}
		return describeResult(details, o.all), nil
	})
	return err
}

// describeSummary is the summary of chronik.topic.describe/v1.
type describeSummary struct {
	Topics          int `json:"topics"`
	Partitions      int `json:"partitions"`
	UnderReplicated int `json:"under_replicated"`
	Offline         int `json:"offline"`
}

func describeResult(d admin.TopicDetails, all bool) *out.Result {
	r := &out.Result{
		Schema:    "chronik.topic.describe/v1",
		ClusterID: d.ClusterID,
		Data:      d.Topics,
		Errors:    globals.Failures(d.Problems),
		Notes:     d.Notes,
	}
	var summary describeSummary
	for _, t := range d.Topics {
		r.Names = append(r.Names, t.Topic)
		summary.Topics++
		summary.Partitions += t.Partitions
		for _, p := range t.PartitionDetails {
			if len(p.ISR) < len(p.Replicas) {
				summary.UnderReplicated++
			}
			if p.Leader < 0 {
				summary.Offline++
			}
		}
		r.Blocks = append(r.Blocks, out.Block{Head: heading(t, all), Grid: partitionGrid(t)})
	}
	r.Summary = summary
	return r
}

// heading is the lines above a topic's partitions.
func heading(t admin.TopicDetail, all bool) []string {
	line := fmt.Sprintf("TOPIC %s  PARTITIONS %d  REPLICAS %d  MIN ISR %s  RECORDS %s  SIZE %s",
		t.Topic, t.Partitions, t.ReplicationFactor, out.OptInt(t.MinInsyncReplicas).Text,
		out.OptCount(t.Records).Text, out.OptBytes(t.SizeBytes).Text)
	if t.TopicID != "" {
		line += "  ID " + t.TopicID
	}
	return append([]string{line}, configLines(t.Configs, all)...)
}

// configLines lists every setting on a line of its own, or those that the
// topic sets on one.
func configLines(configs []admin.Config, all bool) []string {
	if all {
		lines := []string{"CONFIG"}
		for _, c := range configs {
			lines = append(lines, "  "+setting(c, c.Source))
		}
		return lines
	}
	var set []string
	defaults := 0
	for _, c := range configs {
		if c.Default {
			defaults++
		} else {
			set = append(set, setting(c, ""))
		}
	}
	if defaults > 0 {
		set = append(set, fmt.Sprintf("+%d defaults (--all)", defaults))
	}
	if len(set) == 0 {
		return nil
	}
	return []string{"CONFIG " + strings.Join(set, "  ")}
}

// setting returns "retention.ms=604800000 (7d0h, topic)".
func setting(c admin.Config, source string) string {
	if c.Value == nil {
		return c.Name + " (hidden)"
	}
	var remarks []string
	for _, remark := range []string{readable(c.Name, *c.Value), source} {
		if remark != "" {
			remarks = append(remarks, remark)
		}
	}
	text := c.Name + "=" + *c.Value
	if len(remarks) > 0 {
		text += " (" + strings.Join(remarks, ", ") + ")"
	}
	return text
}

// readable returns "7d0h" for a setting in milliseconds, "1.0GiB" for one in
// bytes, and nothing where the number itself is readable.
func readable(name, value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1000 {
		return ""
	}
	switch {
	case strings.HasSuffix(name, ".ms") && n < math.MaxInt64/int64(time.Millisecond):
		return out.FormatDuration(time.Duration(n) * time.Millisecond)
	case strings.HasSuffix(name, ".bytes"):
		return out.FormatBytes(n)
	default:
		return ""
	}
}

func partitionGrid(t admin.TopicDetail) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic", Level: out.TSVOnly},
		{Header: "P", Field: "partition", Right: true},
		{Header: "LEADER", Field: "leader", Right: true},
		{Header: "EPOCH", Field: "leader_epoch", Right: true},
		{Header: "REPLICAS", Field: "replicas"},
		{Header: "ISR", Field: "isr"},
		{Header: "ELR", Field: "elr"},
		{Header: "START", Field: "log_start_offset", Right: true},
		{Header: "HIGH WATERMARK", Field: "high_watermark", Right: true},
		{Header: "SIZE", Field: "size_bytes", Right: true},
		{Header: "LEADER IS", Field: "leader_is"},
		{Header: "STATE", Field: "state"},
	}}
	for _, p := range t.PartitionDetails {
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(t.Topic), out.Int(p.Partition), out.Leader(p.Leader), out.OptInt(p.LeaderEpoch),
			out.IDs(p.Replicas), isr(p), out.OptIDs(p.ELR),
			out.OptCount(p.LogStartOffset), out.OptCount(p.HighWatermark), out.OptBytes(p.SizeBytes),
			preferred(p), out.State(p.State),
		})
	}
	return grid
}

// isr shows the in-sync replicas, and with a ! those that are missing.
func isr(p admin.PartitionDetail) out.Cell {
	cell := out.IDs(p.ISR)
	cell.Raw = cell.Text
	var missing []int32
	for _, id := range p.Replicas {
		if !slices.Contains(p.ISR, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		cell.Text += " !" + out.IDs(missing).Text
		cell.Tone = out.Warn
	}
	return cell
}

// preferred tells whether the leader is the replica that placement wanted.
func preferred(p admin.PartitionDetail) out.Cell {
	switch {
	case p.Leader < 0 || len(p.Replicas) == 0:
		return out.Text("")
	case p.Leader == p.Replicas[0]:
		return out.Text("preferred")
	default:
		return out.Text("moved")
	}
}
