package topic

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// deleteOptions is the command line of topic delete.
type deleteOptions struct {
	names    []string
	yes      bool
	dryRun   bool
	ifExists bool
}

func newDelete(g *globals.Globals) *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:     "delete NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete topics with all their data",
		Long: `Delete topics with all their data, and wait until the cluster reports them no
more. It asks first; without a terminal to ask on, --yes is required.`,
		Example: `  chronik topic delete orders
  chronik topic delete orders payments --yes
  chronik topic delete orders --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: g.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return remove(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be deleted")
	cmd.Flags().BoolVar(&o.ifExists, "if-exists", false, "succeed when a topic does not exist")
	return cmd
}

func remove(ctx context.Context, g *globals.Globals, o deleteOptions) error {
	// The question is outside of --timeout: people may think.
	if !o.dryRun {
		if err := g.Confirm(o.yes, "delete "+quoteAll(o.names)+" with all data?"); err != nil {
			return err
		}
	}
	var r *out.Result
	err := g.With(ctx, func(ctx context.Context, client *admin.Client) error {
		list, err := client.ListTopics(ctx, true)
		if err != nil {
			return err
		}
		var deleted []admin.DeletedTopic
		failed := each(ctx, o.names, func(name string) (string, error) {
			t, err := removeOne(ctx, client, list, name, o)
			if err == nil && t.Topic != "" {
				deleted = append(deleted, t)
			}
			return name, err
		})
		if err := failed.alone(len(o.names)); err != nil {
			return err
		}
		r = deletedResult(list.ClusterID, deleted, failed.failures)
		return nil
	})
	if err != nil {
		return err
	}
	return g.Print(r)
}

// removeOne returns the zero value for a topic that is not there, when that
// is fine.
func removeOne(ctx context.Context, client *admin.Client, list admin.TopicList, name string, o deleteOptions) (admin.DeletedTopic, error) {
	have, ok := known(list, name)
	if !ok {
		if o.ifExists {
			return admin.DeletedTopic{}, nil
		}
		return admin.DeletedTopic{}, unknownTopic(list, name)
	}
	gone := admin.DeletedTopic{Topic: name, TopicID: have.TopicID, Deleted: !o.dryRun, DryRun: o.dryRun, Partitions: have.Partitions}
	if o.dryRun {
		return gone, nil
	}
	err := client.DeleteTopic(ctx, name)
	if o.ifExists && errors.Is(err, admin.ErrUnknownTopic) {
		return admin.DeletedTopic{}, nil
	}
	if err != nil {
		return admin.DeletedTopic{}, err
	}
	return gone, client.WaitTopicGone(ctx, name)
}

func unknownTopic(list admin.TopicList, name string) error {
	e := &admin.UnknownTopicError{Selector: admin.Selector{Topic: name, Partition: admin.AllPartitions}}
	for _, t := range list.Topics {
		e.Known = append(e.Known, t.Topic)
	}
	return e
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return "topic " + strings.Join(quoted, ", ")
}

// deleteSummary is the summary of chronik.topic.delete/v1.
type deleteSummary struct {
	Deleted int `json:"deleted"`
	Failed  int `json:"failed"`
}

func deletedResult(clusterID string, deleted []admin.DeletedTopic, failures []out.Failure) *out.Result {
	r := &out.Result{Schema: "chronik.topic.delete/v1", ClusterID: clusterID, Data: deleted, Errors: failures}
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic"},
		{Header: "PARTITIONS", Field: "partitions", Right: true},
		{Header: "STATUS", Field: "status"},
		{Header: "ID", Field: "topic_id", Level: out.WideTSV},
	}}
	summary := deleteSummary{Failed: len(failures)}
	for _, t := range deleted {
		word := "would be deleted (dry run)"
		if t.Deleted {
			word = "deleted"
			summary.Deleted++
		}
		r.Names = append(r.Names, t.Topic)
		grid.Rows = append(grid.Rows, []out.Cell{out.Text(t.Topic), out.Int(t.Partitions), out.Text(word), out.Text(t.TopicID)})
	}
	r.Summary = summary
	r.Blocks = []out.Block{{Grid: grid, Empty: "nothing to delete"}}
	return r
}
