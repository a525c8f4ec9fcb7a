package topic

import (
	"context"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// listOptions is the command line of topic list.
type listOptions struct {
	patterns []string
	internal bool
}

func newList(g *globals.Globals) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list [PATTERN...]",
		Aliases: []string{"ls"},
		Short:   "List topics",
		Long:    "List topics, or those whose names match a pattern, in which * stands for any\nletters and ? for one. Quote patterns, or the shell replaces them by file names.",
		Example: `  chronik topic list
  chronik topic list 'orders-*' -o name
  chronik topic list --internal -o json`,
		ValidArgsFunction: g.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.patterns = args
			return list(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.internal, "internal", false, "list internal topics too")
	g.BindWatch(cmd.Flags())
	return cmd
}

func list(ctx context.Context, g *globals.Globals, o listOptions) error {
	for _, pattern := range o.patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return exit.Usagef("", "pattern %q: %w", pattern, err)
		}
	}
	_, err := g.Show(ctx, func(ctx context.Context, client *admin.Client) (*out.Result, error) {
		all, err := client.ListTopics(ctx, true)
		if err != nil {
			return nil, err
		}
		topics, problems := filter(all, o)
		return listResult(all.ClusterID, topics, globals.Failures(problems)), nil
	})
	return err
}

// filter keeps the topics that the patterns name. A pattern without * or ?
// that names no topic is a mistake; one with them just matches nothing.
func filter(all admin.TopicList, o listOptions) ([]admin.Topic, []admin.Problem) {
	var problems []admin.Problem
	var names []string
	for _, t := range all.Topics {
		names = append(names, t.Topic)
	}
	for _, pattern := range o.patterns {
		if _, ok := known(all, pattern); !ok && !strings.ContainsAny(pattern, "*?[") {
			problems = append(problems, admin.Problem{Subject: topicSubject(pattern), Err: &admin.UnknownTopicError{
				Selector: admin.Selector{Topic: pattern, Partition: admin.AllPartitions}, Known: names,
			}})
		}
	}
	var kept []admin.Topic
	for _, t := range all.Topics {
		if wanted(t, o) {
			kept = append(kept, t)
		}
	}
	return kept, problems
}

func wanted(t admin.Topic, o listOptions) bool {
	if len(o.patterns) == 0 {
		return o.internal || !t.Internal
	}
	for _, pattern := range o.patterns {
		if ok, err := path.Match(pattern, t.Topic); err == nil && ok {
			return true
		}
	}
	return false
}

// listSummary is the summary of chronik.topic.list/v1.
type listSummary struct {
	Topics          int `json:"topics"`
	Partitions      int `json:"partitions"`
	UnderReplicated int `json:"under_replicated"`
	Offline         int `json:"offline"`
}

// listResult lays out a list of topics.
func listResult(clusterID string, topics []admin.Topic, failures []out.Failure) *out.Result {
	r := &out.Result{Schema: "chronik.topic.list/v1", ClusterID: clusterID, Data: topics, Errors: failures}
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic"},
		{Header: "PARTITIONS", Field: "partitions", Right: true},
		{Header: "REPLICAS", Field: "replication_factor", Right: true},
		{Header: "UNDER-REPLICATED", Field: "under_replicated", Right: true},
		{Header: "OFFLINE", Field: "offline", Right: true},
		{Header: "INTERNAL", Field: "internal", Level: out.WideTSV},
		{Header: "ID", Field: "topic_id", Level: out.WideTSV},
	}}
	var summary listSummary
	for _, t := range topics {
		summary.Topics++
		summary.Partitions += t.Partitions
		summary.UnderReplicated += t.UnderReplicated
		summary.Offline += t.Offline
		r.Names = append(r.Names, t.Topic)
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(t.Topic), out.Int(t.Partitions), out.Int(t.ReplicationFactor),
			alarm(t.UnderReplicated, out.Warn), alarm(t.Offline, out.Bad),
			out.YesNo(t.Internal), out.Text(t.TopicID),
		})
	}
	r.Summary = summary
	r.Blocks = []out.Block{{Grid: grid, Empty: "no topics"}}
	return r
}

// alarm shows a number that should be zero.
func alarm(n int, tone out.Tone) out.Cell {
	if n == 0 {
		return out.Int(0)
	}
	return out.Int(n).In(tone)
}
