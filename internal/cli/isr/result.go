package isr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// summary is the summary of chronik.isr.show/v1. It counts every partition
// that was asked about, also those that --only leaves out.
type summary struct {
	Partitions      int `json:"partitions"`
	Shown           int `json:"shown"`
	OK              int `json:"ok"`
	UnderReplicated int `json:"under_replicated"`
	AtMinISR        int `json:"at_min_isr"`
	UnderMinISR     int `json:"under_min_isr"`
	Offline         int `json:"offline"`
	Lagging         int `json:"lagging"`
	Unknown         int `json:"unknown"` // their leader gives no answer
}

func sum(all, shown []admin.ISRPartition) summary {
	s := summary{Partitions: len(all), Shown: len(shown)}
	for _, p := range all {
		if p.UnderReplicated() {
			s.UnderReplicated++
		}
		if p.Lagging() {
			s.Lagging++
		}
		switch p.State {
		case admin.PartitionOK:
			s.OK++
		case admin.PartitionAtMinISR:
			s.AtMinISR++
		case admin.PartitionUnderMinISR:
			s.UnderMinISR++
		case admin.PartitionOffline:
			s.Offline++
		case admin.PartitionUnknown:
			s.Unknown++
		}
	}
	return s
}

// line is the summary for people: zeros are left out, except that there is
// nothing to worry about.
func (s summary) line() string {
	parts := []string{plural(s.Partitions, "partition", "partitions")}
	for _, c := range []struct {
		n    int
		what string
	}{
		{s.UnderReplicated, "under-replicated"},
		{s.AtMinISR, "at min ISR"},
		{s.UnderMinISR, "under min ISR"},
		{s.Offline, "offline"},
		{s.Lagging, "lagging"},
		{s.Unknown, "unknown"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(parts) == 1 && s.OK == s.Partitions {
		parts = append(parts, "all ok")
	}
	return "summary: " + strings.Join(parts, ", ")
}

// Result lays out a report, of which shown is what --only kept.
func Result(report admin.ISRReport, shown []admin.ISRPartition, followers bool) *out.Result {
	s := sum(report.Partitions, shown)
	r := &out.Result{
		Schema:    "chronik.isr.show/v1",
		ClusterID: report.ClusterID,
		Data:      shown,
		Errors:    globals.Failures(report.Problems),
		Summary:   s,
		Footer:    []string{s.line()},
		Notes:     report.Notes,
	}
	grid := partitionGrid(shown)
	if followers {
		grid = followerGrid(shown)
	}
	r.Blocks = []out.Block{{Grid: grid, Empty: "no partitions"}}
	for _, p := range shown {
		r.Names = append(r.Names, fmt.Sprintf("%s:%d", p.Topic, p.Partition))
	}
	return r
}

func partitionGrid(partitions []admin.ISRPartition) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic"},
		{Header: "P", Field: "partition", Right: true},
		{Header: "LEADER", Field: "leader", Right: true},
		{Header: "EPOCH", Field: "leader_epoch", Right: true},
		{Header: "REPLICAS", Field: "replicas", Level: out.WideTSV},
		{Header: "ISR", Field: "isr"},
		{Header: "ELR", Field: "elr", Level: out.WideTSV},
		{Header: "MIN", Field: "min_insync_replicas", Right: true},
		{Header: "OUT", Field: "out_of_isr"},
		{Header: "BEHIND", Field: "behind", Level: out.Tables},
		{Header: "LAG", Field: "lag_records", Right: true, Level: out.TSVOnly},
		{Header: "LAG BYTES", Field: "lag_bytes", Right: true, Level: out.TSVOnly},
		{Header: "LAG TIME", Field: "lag_ms", Right: true, Level: out.TSVOnly},
		{Header: "CAUGHT UP", Field: "last_caught_up_ms", Right: true},
		{Header: "SLOWEST", Field: "slowest"},
		{Header: "HIGH WATERMARK", Field: "high_watermark", Right: true},
		{Header: "LOG END", Field: "log_end_offset", Right: true, Level: out.WideTSV},
		{Header: "PENDING", Field: "pending_acks", Right: true, Level: out.WideTSV},
		{Header: "FLUSH", Field: "flush", Level: out.WideTSV},
		{Header: "SOURCE", Field: "source", Level: out.WideTSV},
		{Header: "STATE", Field: "state"},
	}}
	for _, p := range partitions {
		w := worstOf(p.Followers)
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Text(p.Topic), out.Int(p.Partition), out.Leader(p.Leader), out.OptInt(p.LeaderEpoch),
			out.IDs(p.Replicas), out.IDs(p.ISR), out.OptIDs(p.ELR), out.OptInt(p.MinInsyncReplicas), outOf(p),
			w.behind(p), out.OptCount(w.records), out.OptBytes(w.bytes), out.OptMillis(w.millis),
			w.caughtUp(p), slowest(p), out.OptCount(p.HighWatermark), out.OptCount(p.LogEndOffset),
			out.OptInt(p.PendingAcks), out.OptText(p.Flush), out.Text(p.Source), state(p.State),
		})
	}
	return grid
}

func followerGrid(partitions []admin.ISRPartition) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "TOPIC", Field: "topic"},
		{Header: "P", Field: "partition", Right: true},
		{Header: "LEADER", Field: "leader", Right: true},
		{Header: "FOLLOWER", Field: "broker", Right: true},
		{Header: "IN ISR", Field: "in_isr"},
		{Header: "STATE", Field: "state"},
		{Header: "LAG", Field: "lag_records", Right: true},
		{Header: "LAG BYTES", Field: "lag_bytes", Right: true},
		{Header: "LAG TIME", Field: "lag_ms", Right: true},
		{Header: "CAUGHT UP", Field: "last_caught_up_ms", Right: true},
		{Header: "ACK WAIT", Field: "ack_wait_share", Right: true},
		{Header: "DURABLE END", Field: "durable_end_offset", Right: true, Level: out.WideTSV},
		{Header: "LOG END", Field: "log_end_offset", Right: true, Level: out.WideTSV},
		{Header: "FLAPS", Field: "flaps", Right: true, Level: out.WideTSV},
		{Header: "SOURCE", Field: "source", Level: out.WideTSV},
		{Header: "REASON", Field: "reason"},
	}}
	for _, p := range partitions {
		for _, f := range p.Followers {
			grid.Rows = append(grid.Rows, []out.Cell{
				out.Text(p.Topic), out.Int(p.Partition), out.Leader(p.Leader), out.Int(f.Broker),
				inISR(f.InISR), out.State(f.State),
				out.OptCount(f.LagRecords), out.OptBytes(f.LagBytes), out.OptMillis(f.LagMillis),
				ago(f.LastCaughtUpMS), out.OptShare(f.AckWaitShare),
				out.OptCount(f.DurableEndOffset), out.OptCount(f.LogEndOffset), out.OptInt(f.Flaps),
				out.Text(p.Source), out.OptText(f.Reason),
			})
		}
	}
	return grid
}

// outOf lists the replicas that are out of the in-sync set, with what each of
// them is doing about it.
func outOf(p admin.ISRPartition) out.Cell {
	var ids, texts []string
	for _, id := range p.Replicas {
		if slices.Contains(p.ISR, id) {
			continue
		}
		text := fmt.Sprint(id)
		ids = append(ids, text)
		for _, f := range p.Followers {
			if f.Broker == id && f.State != admin.StateUnknown {
				text += " " + f.State
			}
		}
		texts = append(texts, text)
	}
	if len(ids) == 0 {
		return out.Text("")
	}
	return out.Cell{Text: strings.Join(texts, ", "), Raw: strings.Join(ids, ","), Tone: out.Warn}
}

// slowest names the follower that acks waited for most.
func slowest(p admin.ISRPartition) out.Cell {
	var last *admin.Follower
	for i, f := range p.Followers {
		if f.AckWaitShare != nil && *f.AckWaitShare > 0 && (last == nil || *f.AckWaitShare > *last.AckWaitShare) {
			last = &p.Followers[i]
		}
	}
	if last == nil {
		return out.Text("")
	}
	share := out.OptShare(last.AckWaitShare)
	return out.Cell{Text: fmt.Sprintf("%d %s", last.Broker, share.Text), Raw: fmt.Sprintf("%d:%s", last.Broker, share.Raw)}
}

// consequences is what a state means for the people who use the topic.
var consequences = map[string]string{
	admin.PartitionUnderReplicated: "UNDER-REPLICATED",
	admin.PartitionAtMinISR:        "AT MIN ISR: one more loss stops acks=all",
	admin.PartitionUnderMinISR:     "UNDER MIN ISR: acks=all gets NOT_ENOUGH_REPLICAS",
	admin.PartitionOffline:         "OFFLINE: no leader, no reads, no writes",
	admin.PartitionUnknown:         "UNKNOWN: the leader gives no answer",
}

func state(s string) out.Cell {
	cell := out.State(s)
	cell.Raw = s
	if text, ok := consequences[s]; ok {
		cell.Text = text
	}
	return cell
}

func inISR(in bool) out.Cell {
	if in {
		return out.YesNo(in)
	}
	return out.YesNo(in).In(out.Warn)
}
