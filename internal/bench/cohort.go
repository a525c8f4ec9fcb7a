package bench

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Where the stages of a StageReport come from.
const (
	// SourceTraces is the brokers' own traces.
	SourceTraces = "broker traces"
	// SourceClient is what the client saw: the brokers have no traces to give.
	SourceClient = "client only"
)

// StageReport says where the response time of one arm went. Percentiles of
// stages do not add up, so it looks at records that had about the same response
// time (a cohort): the stages of each add up to it, and so do their means.
type StageReport struct {
	Acks   Arm    `json:"acks"`
	Source string `json:"source"`
	// Records were explained, of so many Acked.
	Records int64    `json:"records"`
	Acked   int64    `json:"acked"`
	Cohorts []Cohort `json:"cohorts"`
}

// Cohort is the records whose response time lies between two quantiles. Times
// are means in microseconds, exact to the nanosecond: all stages that are not
// null add up to Mean.
type Cohort struct {
	Name    string  `json:"cohort"` // median, tail or all
	From    float64 `json:"from_quantile"`
	To      float64 `json:"to_quantile"`
	Records int     `json:"records"`
	Mean    float64 `json:"mean_us"`
	// Client is from the time a record was due to the write of its request, and
	// from the response to the callback.
	Client float64 `json:"client_us"`
	// Net is between the two sockets; without broker traces everything beyond
	// the client's own.
	Net     float64  `json:"net_us"`
	Queue   *float64 `json:"queue_us"`
	Append  *float64 `json:"append_us"`
	Fsync   *float64 `json:"fsync_us"`    // the wait after the append, of records for which the leader's disk was last
	Slowest *float64 `json:"follower_us"` // the same wait, of those for which a follower was
	Respond *float64 `json:"respond_us"`
	// Follower is what Slowest consists of; null without broker traces.
	Follower *FollowerPath `json:"follower"`
	// Last is who was waited for to the end, by share of the records.
	Last []LastShare `json:"last"`
	// ReplicationEstimate is the mean of this cohort less that of acks=1, which
	// ran beside it: an estimate of what replication costs on clusters without
	// traces. Null with traces, and without an acks=1 arm.
	ReplicationEstimate *float64 `json:"replication_estimate_us"`
}

// FollowerPath is the way to the slowest follower and back, in microseconds.
type FollowerPath struct {
	Link  float64 `json:"link_us"`  // until the leader wrote the frame
	Net   float64 `json:"net_us"`   // network, and what nobody accounts for
	Queue float64 `json:"queue_us"` // until the follower's round began
	Fsync float64 `json:"fsync_us"` // its write and sync
	Other float64 `json:"other_us"` // until the in-sync set changed
}

// LastShare is how often a broker was the last that was waited for.
type LastShare struct {
	// Broker is null when the in-sync set changed instead.
	Broker *int32 `json:"broker"`
	// Role is leader, follower or "in-sync change".
	Role  string  `json:"role"`
	Share float64 `json:"share"` // 0..1
}

// Roles of who was last.
const (
	RoleLeader   = "leader"
	RoleFollower = "follower"
	RoleChange   = "in-sync change"
)

// Names of cohorts.
const (
	CohortMedian = "median"
	CohortTail   = "tail"
	CohortAll    = "all"
)

var cohorts = []struct {
	name     string
	from, to float64
}{
	{CohortMedian, 0.45, 0.55},
	{CohortTail, 0.985, 0.995},
	{CohortAll, 0, 1},
}

// report sums the explained records up.
func (j *joiner) report(arm Arm) StageReport {
	r := StageReport{Acks: arm, Source: SourceClient, Records: j.kept.seen, Acked: j.acked, Cohorts: []Cohort{}}
	if j.traced {
		r.Source = SourceTraces
	}
	paths := j.kept.paths
	slices.SortFunc(paths, func(a, b way) int { return cmp.Compare(a.total, b.total) })
	n := float64(len(paths))
	for _, c := range cohorts {
		from, to := int(math.Floor(c.from*n)), int(math.Ceil(c.to*n))
		if n*(c.to-c.from) < 1 {
			continue // of too few records nobody can say which are the tail
		}
		cohort := sumUp(paths[from:to], j.traced)
		cohort.Name, cohort.From, cohort.To = c.name, c.from, c.to
		r.Cohorts = append(r.Cohorts, cohort)
	}
	return r
}

func sumUp(paths []way, traced bool) Cohort {
	var total time.Duration
	var stages [stageCount]time.Duration
	var hops [hopCount]time.Duration
	last := map[LastShare]int{} // by broker and role
	brokers := map[int32]*int32{}
	for _, p := range paths {
		total += p.total
		for i, d := range p.stages {
			stages[i] += d
		}
		for i, d := range p.hops {
			hops[i] += d
		}
		if traced {
			last[lastOf(p, brokers)]++
		}
	}
	mean := means(total, stages[:], len(paths))
	c := Cohort{
		Records: len(paths), Mean: exactMicros(mean.total), Client: exactMicros(mean.parts[stageClient]), Net: exactMicros(mean.parts[stageNet]),
		Last: []LastShare{},
	}
	if !traced {
		return c
	}
	at := func(s stage) *float64 { us := exactMicros(mean.parts[s]); return &us }
	c.Queue, c.Append, c.Fsync, c.Slowest, c.Respond = at(stageQueue), at(stageAppend), at(stageFsync), at(stageFollower), at(stageRespond)
	parts := Apportion(mean.parts[stageFollower], hops[:])
	c.Follower = &FollowerPath{
		Link: exactMicros(parts[hopLink]), Net: exactMicros(parts[hopNet]), Queue: exactMicros(parts[hopQueue]),
		Fsync: exactMicros(parts[hopFsync]), Other: exactMicros(parts[hopOther]),
	}
	for share, n := range last {
		share.Share = float64(n) / float64(len(paths))
		c.Last = append(c.Last, share)
	}
	slices.SortFunc(c.Last, func(a, b LastShare) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Role, b.Role), cmp.Compare(orNone(a.Broker), orNone(b.Broker)))
	})
	return c
}

// lastOf returns who was last, without a share. brokers makes equal brokers
// equal pointers.
func lastOf(p way, brokers map[int32]*int32) LastShare {
	if p.last == lastChange {
		return LastShare{Role: RoleChange}
	}
	if brokers[p.last] == nil {
		brokers[p.last] = &p.last
	}
	role := RoleFollower
	if p.last == p.leader {
		role = RoleLeader
	}
	return LastShare{Broker: brokers[p.last], Role: role}
}

func orNone(broker *int32) int32 {
	if broker == nil {
		return lastChange
	}
	return *broker
}

// averaged are means whose parts add up to the total.
type averaged struct {
	total time.Duration
	parts []time.Duration
}

func means(total time.Duration, parts []time.Duration, n int) averaged {
	mean := time.Duration(math.Round(float64(total) / float64(n)))
	return averaged{total: mean, parts: Apportion(mean, parts)}
}

// Apportion shares total by the sizes of parts, in whole units, so that the
// shares add up to total: each is rounded down, and the units that are left go
// to those that lost most. Parts that are all zero share nothing.
func Apportion(total time.Duration, parts []time.Duration) []time.Duration {
	var sum float64
	for _, d := range parts {
		sum += float64(d)
	}
	shares := make([]time.Duration, len(parts))
	if sum == 0 {
		return shares
	}
	left := total
	lost := make([]float64, len(parts))
	order := make([]int, len(parts))
	for i, d := range parts {
		exact := float64(total) * float64(d) / sum
		shares[i] = time.Duration(math.Floor(exact))
		lost[i], order[i] = exact-math.Floor(exact), i
		left -= shares[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lost[b], lost[a]) })
	for i := 0; left > 0; i, left = i+1, left-1 {
		shares[order[i%len(order)]]++
	}
	return shares
}

// exactMicros is a time in microseconds with all its digits.
func exactMicros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// estimateReplication fills in, where there are no traces, what acks=all takes
// beyond the acks=1 that ran in turns with it.
func estimateReplication(reports []StageReport) {
	i := slices.IndexFunc(reports, func(r StageReport) bool { return r.Acks == AcksLeader })
	if i < 0 || reports[i].Source != SourceClient {
		return
	}
	leader := reports[i].Cohorts
	for _, r := range reports {
		if r.Acks == AcksLeader || r.Source != SourceClient {
			continue
		}
		for k := range r.Cohorts {
			c := &r.Cohorts[k]
			if n := slices.IndexFunc(leader, func(l Cohort) bool { return l.Name == c.Name }); n >= 0 {
				cost := c.Mean - leader[n].Mean
				c.ReplicationEstimate = &cost
			}
		}
	}
}
