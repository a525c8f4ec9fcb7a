package topic

import (
	"fmt"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// createSummary is the summary of chronik.topic.create/v1.
type createSummary struct {
	Created  int `json:"created"`
	Existing int `json:"existing"`
	Failed   int `json:"failed"`
}

// createdResult lays out what became of each topic.
func createdResult(clusterID string, created []admin.CreatedTopic, failures []out.Failure) *out.Result {
	r := &out.Result{
		Schema:    "chronik.topic.create/v1",
		ClusterID: clusterID,
		Data:      created,
		Errors:    failures,
	}
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic"},
		{Header: "PARTITIONS", Field: "partitions", Right: true},
		{Header: "REPLICAS", Field: "replication_factor", Right: true},
		{Header: "MIN ISR", Field: "min_insync_replicas", Right: true},
		{Header: "LEADERS", Field: "leaders", Right: true},
		{Header: "FULL ISR", Field: "full_isr", Right: true},
		{Header: "STATUS", Field: "status"},
		{Header: "ID", Field: "topic_id", Level: out.WideTSV},
	}}
	summary := createSummary{Failed: len(failures)}
	for _, t := range created {
		word := "created"
		switch {
		case t.DryRun:
			word = "would be created (dry run)"
		case t.Created:
			summary.Created++
		default:
			word = "exists"
			summary.Existing++
		}
		r.Names = append(r.Names, t.Topic)
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(t.Topic), number(t.Partitions), number(t.ReplicationFactor), out.OptInt(t.MinInsyncReplicas),
			ofAll(t.Leaders, t), ofAll(t.FullISR, t), out.Text(word), out.Text(t.TopicID),
		})
	}
	r.Summary = summary
	r.Blocks = []out.Block{{Grid: grid}}
	return r
}

// number shows a count that the broker may have kept to itself.
func number(n int) out.Cell {
	if n < 0 {
		return out.Unknown()
	}
	return out.Int(n)
}

// ofAll shows how many partitions of all; a dry run has none.
func ofAll(n int, t admin.CreatedTopic) out.Cell {
	if t.DryRun {
		return out.Text("")
	}
	cell := out.Cell{Text: fmt.Sprintf("%d/%d", n, t.Partitions), Raw: fmt.Sprint(n)}
	if n < t.Partitions {
		return cell.In(out.Warn)
	}
	return cell
}
