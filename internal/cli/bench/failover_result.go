package bench

import (
	"fmt"
	"strconv"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// failoverSummary is the summary of chronik.bench.failover/v1.
type failoverSummary struct {
	Interrupted bool `json:"interrupted"`
	Affected    int  `json:"affected"` // partitions that the broker led
	// WorstMs is the longest time without an ack of any of them.
	WorstMs *float64 `json:"worst_unavailable_ms"`
	// Verified and ReplicasOK are null when verification was not asked for.
	Verified   *bool `json:"verified"`
	ReplicasOK *bool `json:"replicas_ok"`
}

// failoverResult lays out a report.
func failoverResult(r *engine.FailoverReport) *out.Result {
	s := failoverSummary{Interrupted: r.Interrupted}
	for _, p := range r.Partitions {
		if !p.Affected {
			continue
		}
		s.Affected++
		if p.UnavailableMs != nil && (s.WorstMs == nil || *p.UnavailableMs > *s.WorstMs) {
			s.WorstMs = p.UnavailableMs
		}
	}
	if r.Verification != nil {
		s.Verified = &r.Verification.OK
	}
	if r.Replicas != nil {
		s.ReplicasOK = &r.Replicas.OK
	}
	return &out.Result{
		Schema:    "chronik.bench.failover/v1",
		ClusterID: deref(r.Environment.Cluster.ID),
		Data:      r,
		Errors:    failuresOf("acks="+string(r.Arm.Acks), r.Arm.ErrorsByCode, r.Arm.Offered),
		Summary:   s,
		Notes:     r.Warnings,
		Blocks:    []out.Block{{Head: failoverHead(r), Grid: failoverGrid(r), Empty: "the fault did not come to it"}},
		Footer:    failoverFooter(r, s),
		Names:     []string{r.Environment.Topic.Name},
	}
}

func failoverHead(r *engine.FailoverReport) []string {
	head := []string{
		"topic      " + topicLine(r.Environment.Topic),
		fmt.Sprintf("load       open loop, %s arrivals, %s/s, acks=%s, %s records",
			*r.Settings.Arrival, groupFloat(*r.Settings.RatePerSecond), r.Arm.Acks, out.FormatBytes(int64(r.Settings.RecordBytes))),
	}
	if r.Fault.Broker >= 0 {
		head = append(head, fmt.Sprintf("fault      %s of broker %d after %s, done in %s", r.Fault.Kind, r.Fault.Broker,
			millis(milliseconds(r.Fault.AtMs)), millis(milliseconds(r.Fault.TookMs))))
	}
	if !r.Generator.Valid {
		head = append(head, "generator  INVALID: "+deref(r.Generator.Reason))
	}
	if r.Interrupted {
		head = append(head, "INTERRUPTED: this is what there was until then")
	}
	return append(head, "")
}

func failoverGrid(r *engine.FailoverReport) out.Grid {
	grid := out.Grid{Columns: []out.Column{
		{Header: "P", Field: "partition", Right: true},
		{Header: "LEADER", Field: "leader_before", Right: true},
		{Header: "NEW", Field: "leader_after", Right: true},
		{Header: "UNAVAILABLE", Field: "unavailable_ms", Right: true},
		{Header: "FIRST ACK", Field: "first_ack_ms", Right: true},
		{Header: "DETECTED", Field: "detected_ms", Right: true},
		{Header: "ELECTED", Field: "elected_ms", Right: true},
		{Header: "PROPAGATED", Field: "propagated_ms", Right: true},
		{Header: "CLIENT", Field: "client_ms", Right: true},
		{Header: "", Field: "affected"},
	}}
	for _, p := range r.Partitions {
		note, raw := "not led by it", "no"
		if p.Affected {
			note, raw = "failed over", "yes"
			if p.FirstAckMs == nil {
				note = "NO ACK UNTIL THE END"
			}
		}
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Int(p.Partition), out.Leader(p.LeaderBefore), out.OptInt(p.LeaderAfter), optMs(p.UnavailableMs), optMs(p.FirstAckMs),
			optMs(p.DetectedMs), optMs(p.ElectedMs), optMs(p.PropagatedMs), optMs(p.ClientMs),
			{Text: note, Raw: raw},
		})
	}
	return grid
}

// optMs is a time in milliseconds that may not be known.
func optMs(v *float64) out.Cell {
	if v == nil {
		return out.Cell{Text: "-"}
	}
	return out.Cell{Text: millis(milliseconds(*v)), Raw: strconv.FormatFloat(*v, 'f', -1, 64)}
}

func failoverFooter(r *engine.FailoverReport, s failoverSummary) []string {
	footer := []string{""}
	if s.WorstMs != nil {
		footer = append(footer, fmt.Sprintf("worst      %s without an ack, of %s that the broker led", optMs(s.WorstMs).Text, plural(s.Affected, "partition")))
	}
	footer = append(footer,
		"measured   unavailable, first ack: by this client; detected, elected, propagated: the brokers' metadata, every 10 ms",
		"inferred   client: from elected to first ack, the client's backoff and the new leader's start",
		"integrity  "+verdict(r.Verification))
	for _, p := range problems(r.Verification) {
		footer = append(footer, "           "+p)
	}
	c := r.Replicas
	if c == nil {
		footer = append(footer, "replicas   not compared")
	}
	footer = append(footer, replicaLines(c)...)
	return append(footer, assertionLines(r.Assertions)...)
}
