package bench

import (
	"fmt"
	"time"
)

// What the end of a response time is.
const (
	// LatencyOfAck is the cluster's answer.
	LatencyOfAck = "ack"
	// LatencyOfSend is the write to this machine's socket. It says nothing
	// about the cluster, and is never to be ranked with acks.
	LatencyOfSend = "send only, not an ack"
)

// Loads that a Report can be about.
const (
	// LoadOpen follows a schedule.
	LoadOpen = "open-loop"
	// LoadClosed waits for answers.
	LoadClosed = "closed-loop"
)

// Report is what Run found. Times are in microseconds.
type Report struct {
	Load        string        `json:"load"` // open-loop or closed-loop
	Started     time.Time     `json:"started"`
	Interrupted bool          `json:"interrupted"`
	Settings    Settings      `json:"settings"`
	Arms        []ArmReport   `json:"arms"`
	Blocks      []BlockReport `json:"blocks"` // in the order they ran
	// Stages are where the time went, of each arm with acks; empty when that was
	// not asked for.
	Stages      []StageReport `json:"stages"`
	StagesNotes []string      `json:"stages_notes"` // what has to be said with them
	Warmup      WarmupReport  `json:"warmup"`
	Generator   Generator     `json:"generator"`
	// Faults are what was done to the cluster, and FaultPhases what each arm took
	// before, during and after; empty when nothing was. The phase "during" lasts
	// from FaultsBeganMs to FaultsEndedMs since Started, when every replica was in
	// sync again; nil: that did not come to it.
	Faults        []FaultRun         `json:"faults"`
	FaultPhases   []FaultPhaseReport `json:"fault_phases"`
	FaultsBeganMs *float64           `json:"faults_began_ms"`
	FaultsEndedMs *float64           `json:"faults_ended_ms"`
	// Replicas were compared after faults; nil: not asked for.
	Replicas *ReplicaCheck `json:"replicas"`
	// Events are what was seen to happen to the cluster under load.
	Events []Event `json:"events"`
	// Intervals are kept when Config asks for them; WriteLog writes them.
	Intervals []Interval `json:"-"`
	// StageIntervals are kept with them, where the time went is known.
	StageIntervals []StageInterval `json:"-"`
	Verification   *Verification   `json:"verification"` // nil: not asked for
	// Workers are the machines that shared the load; none: this one made it.
	Workers     []WorkerReport `json:"workers,omitempty"`
	Environment Environment    `json:"environment"`
	Assertions  []Assertion    `json:"assertions"`
	Warnings    []string       `json:"warnings"`
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Settings are how the load was made. All arms share them.
type Settings struct {
	RatePerSecond     *float64 `json:"rate_per_second"` // of each arm; nil in a closed loop
	Arrival           *Arrival `json:"arrival"`         // nil in a closed loop
	Seed              *string  `json:"seed"`            // nil where nothing is random
	Concurrency       *int     `json:"concurrency"`     // nil in an open loop
	DurationMillis    int64    `json:"duration_ms"`
	WarmupMillis      int64    `json:"warmup_ms"`     // at least
	WarmupMaxMillis   int64    `json:"warmup_max_ms"` // at most, for what does not settle
	BlockMillis       int64    `json:"block_ms"`
	BlocksPerArm      int      `json:"blocks_per_arm"`
	RecordBytes       int      `json:"record_bytes"`
	Producers         int      `json:"producers"`
	LingerMicros      int64    `json:"linger_us"`
	Compression       string   `json:"compression"`
	InflightPerBroker int      `json:"max_inflight_per_broker"`
	Partitioner       string   `json:"partitioner"`
	Attempts          string   `json:"attempts"`
	MaxBuffered       int      `json:"max_buffered_records"`
	AckTimeoutMillis  int64    `json:"ack_timeout_ms"`
}

// ArmReport is what was measured of one acks setting.
type ArmReport struct {
	Acks      Arm    `json:"acks"`
	LatencyOf string `json:"latency_of"` // ack, or "send only, not an ack"
	// MeasuredMillis is how long load was offered.
	MeasuredMillis   int64    `json:"measured_ms"`
	OfferedPerSecond *float64 `json:"offered_per_second"` // nil in a closed loop
	// AchievedPerSecond is how many were acked, or sent for acks=0, in the time
	// until the last of them was: less than what was offered, when the cluster
	// does not keep up.
	AchievedPerSecond float64 `json:"achieved_per_second"`
	// Offered is how many records came due: Sent and those that were shed.
	Offered int64  `json:"offered"`
	Sent    int64  `json:"sent"`
	Acked   *int64 `json:"acked"` // nil for acks=0
	// Errors is how many records failed, shed ones included.
	Errors       int64            `json:"errors"`
	ErrorsByCode map[string]int64 `json:"errors_by_code"`
	// Response is from the time a record was due to its ack: the headline.
	Response Quantiles `json:"response_us"`
	// Service is from the time a record was handed to the client to its ack.
	Service Quantiles `json:"service_us"`
	// Failure is from the time a record was due to its failure. Failed records
	// are in no other quantile.
	Failure Quantiles `json:"failure_us"`
	// Lateness is how long after its time a record was handed to the client.
	Lateness Quantiles `json:"lateness_us"`
	Valid    bool      `json:"valid"`
}

// BlockReport is one turn of one arm, for seeing drift.
type BlockReport struct {
	Acks        Arm      `json:"acks"`
	StartMillis int64    `json:"start_ms"` // since the first measured block
	Millis      int64    `json:"ms"`
	Offered     int64    `json:"offered"`
	Acked       int64    `json:"acked"` // for acks=0, sent
	Errors      int64    `json:"errors"`
	P50         *float64 `json:"p50_us"`
	P99         *float64 `json:"p99_us"`
	Max         *float64 `json:"max_us"`
}

// Generator says whether the load was the one asked for.
type Generator struct {
	Pacing      *Pacing  `json:"pacing"` // nil in a closed loop
	LatenessP50 *float64 `json:"lateness_p50_us"`
	LatenessP99 *float64 `json:"lateness_p99_us"`
	LatenessMax *float64 `json:"lateness_max_us"`
	Shed        int64    `json:"shed"`
	Valid       bool     `json:"valid"`
	Reason      *string  `json:"reason"` // why not; nil when valid
}

// Verification is what reading everything back found.
type Verification struct {
	Counts
	// OK is that everything was read and no promise was broken.
	OK bool `json:"ok"`
	// Complete is that the log was read to its end.
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"` // why not complete
	// Foreign are intact records of other runs, on a topic that is shared.
	Foreign int64             `json:"foreign"`
	Arms    map[string]Counts `json:"arms"`
	// Problems are the first few examples.
	Problems []Problem `json:"problems"`
}

// Lateness above both of these makes a run invalid: the quantiles would then
// be those of the generator.
const (
	latenessFloor = time.Millisecond
	latenessShare = 0.1 // of the response time's p99
)

func (r *recorder) blockReport(arm Arm, offered time.Duration, startMillis int64) BlockReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.response.quantiles()
	return BlockReport{
		Acks: arm, StartMillis: startMillis, Millis: offered.Milliseconds(),
		Offered: r.offered, Acked: r.acked, Errors: r.failed, P50: q.P50, P99: q.P99, Max: q.Max,
	}
}

// report returns the arm's result and, when its generator was too late, why.
func (l *lane) report(c Config) (arm ArmReport, invalid string) {
	r := l.total
	r.mu.Lock()
	defer r.mu.Unlock()
	shed := r.errors[FailureShed]
	arm = ArmReport{
		Acks: l.arm, LatencyOf: l.arm.latencyOf(), MeasuredMillis: l.measured.Milliseconds(),
		Offered: r.offered, Sent: r.offered - shed, Errors: r.failed, ErrorsByCode: r.errors,
		Response: r.response.quantiles(), Service: r.service.quantiles(),
		Failure: r.failure.quantiles(), Lateness: r.lateness.quantiles(),
	}
	if l.arm.Acknowledged() {
		arm.Acked = &r.acked
	}
	if !c.ClosedLoop {
		arm.OfferedPerSecond = &c.Rate
	}
	if l.answered > 0 {
		arm.AchievedPerSecond = round(float64(r.acked) / l.answered.Seconds())
	}
	invalid = l.tooLate(r, max(latenessFloor, c.latenessFloor))
	arm.Valid = invalid == ""
	return arm, invalid
}

// tooLate is called with the recorder's lock held. So late, no generator is too
// late.
func (l *lane) tooLate(r *recorder, floor time.Duration) string {
	late, ok := r.lateness.quantile(0.99)
	if !ok {
		late = time.Duration(r.lateness.hdr.Max()) // too few to tell: the worst
	}
	limit := floor
	if p99, ok := r.response.quantile(0.99); ok {
		limit = max(limit, time.Duration(float64(p99)*latenessShare))
	}
	if late <= limit {
		return ""
	}
	return fmt.Sprintf("acks=%s: the generator was late by %s at p99; at most %s would do", l.arm, late.Round(time.Microsecond), limit.Round(time.Microsecond))
}

// round keeps one decimal of a rate.
func round(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }
