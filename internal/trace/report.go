package trace

// Path is where a broker's HTTP listener serves a [Report]. Its query
// parameters are since, limit, every and topic, as in [Query].
const Path = "/v1/trace/produce"

// Schema names the shape of [Report]. Fields are only ever added.
const Schema = "chronik.trace.produce/v1"

// Bounds of one report.
const (
	DefaultLimit = 2048
	MaxLimit     = RingBatches
)

// Report is the answer to GET /v1/trace/produce.
type Report struct {
	Schema string `json:"schema"`
	Broker int32  `json:"broker"`
	// Capacity is how many batches the broker keeps.
	Capacity int    `json:"capacity"`
	Next     uint64 `json:"next"` // what to pass as since
	Missed   uint64 `json:"missed"`
	More     bool   `json:"more"`
	// Traces are batches that were answered without an error, oldest first.
	Traces []Produce `json:"traces"`
}

// Produce is one batch. Times after Received are nanoseconds after it, on the
// leader's monotonic clock; null is a moment that did not come before the
// response.
type Produce struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	LeaderEpoch int32  `json:"leader_epoch"`
	BaseOffset  int64  `json:"base_offset"`
	Count       int32  `json:"count"` // records
	Acks        int16  `json:"acks"`
	// Received is in nanoseconds since the broker started.
	Received  int64  `json:"received_ns"`
	Began     int64  `json:"began_ns"`
	Appended  int64  `json:"appended_ns"`
	Fsynced   *int64 `json:"fsynced_ns"`
	Committed int64  `json:"committed_ns"`
	Written   int64  `json:"written_ns"`
	// Last is the broker whose sync or acknowledgement was the last that was
	// waited for; null when the in-sync set changed instead.
	Last      *int32            `json:"last"`
	Followers []ProduceFollower `json:"followers"` // those that acknowledged before the response
}

// ProduceFollower is the way of a batch to one follower and back.
type ProduceFollower struct {
	Broker int32  `json:"broker"`
	Sent   *int64 `json:"sent_ns"`
	Acked  int64  `json:"acked_ns"`
	// Queue and Fsync are durations that the follower told.
	Queue int64 `json:"queue_ns"`
	Fsync int64 `json:"fsync_ns"`
}

// Report is the shape of an answer.
func (r *Ring) Report(broker int32, q Query) Report {
	a := r.Read(q)
	report := Report{
		Schema: Schema, Broker: broker, Capacity: r.Len(),
		Next: a.Next, Missed: a.Missed, More: a.More, Traces: make([]Produce, 0, len(a.Batches)),
	}
	for i := range a.Batches {
		report.Traces = append(report.Traces, a.Batches[i].report())
	}
	return report
}

func (b *Batch) report() Produce {
	after := func(s Stamp) int64 { return int64(s - b.Received) }
	known := func(s Stamp) *int64 {
		if s == 0 {
			return nil
		}
		d := after(s)
		return &d
	}
	p := Produce{
		Topic: b.Topic, Partition: b.Partition, LeaderEpoch: b.Epoch, BaseOffset: b.Base, Count: b.Count, Acks: b.Acks,
		Received: int64(b.Received), Began: after(b.Began), Appended: after(b.Appended), Fsynced: known(b.Fsynced),
		Committed: after(b.Committed), Written: after(b.Written), Followers: []ProduceFollower{},
	}
	if b.Last != NoBroker {
		p.Last = &b.Last
	}
	for _, f := range b.Followers {
		if f.Acked != 0 {
			p.Followers = append(p.Followers, ProduceFollower{
				Broker: f.ID, Sent: known(f.Sent), Acked: after(f.Acked),
				Queue: int64(f.QueueMicros) * 1000, Fsync: int64(f.FsyncMicros) * 1000,
			})
		}
	}
	return p
}
