package bench

import (
	"cmp"
	"slices"
	"time"
)

// FailoverPartition is what one partition went through, in milliseconds since
// the fault. Of the parts, Unavailable and FirstAck are measured at the client,
// the rest by asking the other brokers for metadata every 10 ms; what nobody
// said is nil.
type FailoverPartition struct {
	Partition    int32  `json:"partition"`
	Affected     bool   `json:"affected"` // the victim led it
	LeaderBefore int32  `json:"leader_before"`
	LeaderAfter  *int32 `json:"leader_after"`
	// UnavailableMs is the longest time without an ack from the fault on.
	UnavailableMs *float64 `json:"unavailable_ms"`
	// FirstAckMs is when that time ended; nil: no ack came any more.
	FirstAckMs *float64 `json:"first_ack_ms"`
	// DetectedMs is when the first broker no longer named the victim as leader, or
	// as in sync. Where detection and election are one step, it is ElectedMs.
	DetectedMs *float64 `json:"detected_ms"`
	// ElectedMs is when the first broker named the new leader.
	ElectedMs *float64 `json:"elected_ms"`
	// PropagatedMs is when the last one did.
	PropagatedMs *float64 `json:"propagated_ms"`
	// ClientMs is from ElectedMs to FirstAckMs: what is inferred to be the
	// client's own retry, and the new leader's start.
	ClientMs *float64 `json:"client_ms"`
}

// describe fills in what is known of the fault and of each partition.
func (f *failing) describe(report *FailoverReport, l *lane) {
	report.Partitions = []FailoverPartition{}
	if f.at.IsZero() {
		return
	}
	report.Fault.Broker = f.victim
	report.Fault.AtMs, report.Fault.TookMs = ms(f.at.Sub(f.began)), ms(f.done.Sub(f.at))
	acks := map[int32][]time.Time{}
	for _, p := range l.producers {
		samples, _ := p.journal.take(time.Now())
		for _, s := range samples {
			acks[s.partition] = append(acks[s.partition], s.acked)
		}
	}
	end := f.began.Add(f.config.Duration)
	for _, before := range f.before {
		p := FailoverPartition{Partition: before.Partition, Affected: before.Leader == f.victim, LeaderBefore: before.Leader}
		gap, to := longestGap(acks[p.Partition], f.at, end)
		p.UnavailableMs = ptr(ms(gap))
		if !to.IsZero() {
			p.FirstAckMs = ptr(ms(to.Sub(f.at)))
		}
		if p.Affected {
			f.phases(&p)
		} else {
			p.LeaderAfter = ptr(before.Leader)
		}
		report.Partitions = append(report.Partitions, p)
	}
}

// phases fills in what the other brokers said.
func (f *failing) phases(p *FailoverPartition) {
	var detected, elected, propagated time.Time
	for _, v := range f.views {
		v.mu.Lock()
		missing, lost := v.missing[p.Partition]
		next, knows := v.moved[p.Partition]
		v.mu.Unlock()
		if lost && (detected.IsZero() || missing.Before(detected)) {
			detected = missing
		}
		if !knows {
			continue
		}
		if elected.IsZero() || next.at.Before(elected) {
			elected = next.at
			p.LeaderAfter = ptr(next.leader)
		}
		if next.at.After(propagated) {
			propagated = next.at
		}
	}
	since := func(at time.Time) *float64 {
		if at.IsZero() {
			return nil
		}
		return ptr(ms(at.Sub(f.at)))
	}
	p.DetectedMs, p.ElectedMs, p.PropagatedMs = since(detected), since(elected), since(propagated)
	if p.ElectedMs != nil && p.FirstAckMs != nil && *p.FirstAckMs >= *p.ElectedMs {
		p.ClientMs = ptr(*p.FirstAckMs - *p.ElectedMs)
	}
}

// longestGap returns the longest time without an ack that ends after from, and
// when it ended; the zero time when no ack came until end.
func longestGap(acks []time.Time, from, end time.Time) (gap time.Duration, to time.Time) {
	slices.SortFunc(acks, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
	last := from
	for _, at := range acks {
		if at.After(from) && at.Sub(last) > gap {
			gap, to = at.Sub(last), at
		}
		if at.After(last) || !at.After(from) {
			last = at
		}
	}
	if rest := end.Sub(last); rest > gap {
		return rest, time.Time{}
	}
	return gap, to
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

func ptr[T any](v T) *T { return &v }
