package bench

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Assertion is a claim about a report, such as "p99<10ms", and whether it holds.
type Assertion struct {
	Text string `json:"assert"`
	// Holds is false also when the value is unknown: a claim needs evidence.
	Holds bool `json:"holds"`
	// Detail is the value that decided, by arm where there are several.
	Detail string `json:"detail"`

	metric   string
	operator string
	limit    float64 // in the unit of the metric: microseconds, records, a share
	share    bool    // limit was given in percent
}

// assertionForm is metric, operator, value.
var assertionForm = regexp.MustCompile(`^\s*([a-z0-9.]+)\s*(<=|>=|==|<|>)\s*([0-9.]+)\s*(%|[a-zµ]*)\s*$`)

// ParseAssertions reads a comma-separated list. The metrics are p50, p90, p99,
// p99.9 (p999), p99.99 (p9999) and max, compared with durations; errors, with a
// count or a percentage; rate (acked per second); and loss, duplicates,
// reordered and corrupt. "valid" alone claims that the generator was punctual.
func ParseAssertions(s string) ([]Assertion, error) {
	var all []Assertion
	for text := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		a, err := parseAssertion(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAssertion(text string) (Assertion, error) {
	a := Assertion{Text: text}
	if text == metricValid {
		a.metric = metricValid
		return a, nil
	}
	part := assertionForm.FindStringSubmatch(text)
	if part == nil {
		return a, fmt.Errorf("%w: assertion %q: want METRIC OPERATOR VALUE, such as p99<10ms", ErrConfig, text)
	}
	a.metric, a.operator = strings.ReplaceAll(part[1], "99.9", "999"), part[2]
	_, quantile := Quantiles{}.named(a.metric)
	_, count := Counts{}.named(a.metric)
	var err error
	switch {
	case quantile, a.metric == metricGap:
		var d time.Duration
		d, err = time.ParseDuration(part[3] + part[4])
		a.limit = float64(d) / float64(time.Microsecond)
	case a.metric == metricErrors && part[4] == "%":
		a.share = true
		a.limit, err = strconv.ParseFloat(part[3], 64)
	case count, a.metric == metricErrors, a.metric == metricRate:
		if part[4] != "" {
			return a, fmt.Errorf("%w: assertion %q: %s has no unit", ErrConfig, text, a.metric)
		}
		a.limit, err = strconv.ParseFloat(part[3], 64)
	default:
		return a, fmt.Errorf("%w: assertion %q: unknown metric %q", ErrConfig, text, part[1])
	}
	if err != nil {
		return a, fmt.Errorf("%w: assertion %q: %w", ErrConfig, text, err)
	}
	return a, nil
}

// Metrics that are not quantiles.
const (
	metricErrors = "errors"
	metricRate   = "rate"
	metricValid  = "valid"
	metricGap    = "unavailable" // of failovers
)

// named returns the quantile that a metric means.
func (q Quantiles) named(metric string) (us *float64, ok bool) {
	switch metric {
	case "p50":
		return q.P50, true
	case "p90":
		return q.P90, true
	case "p99":
		return q.P99, true
	case "p999":
		return q.P999, true
	case "p9999":
		return q.P9999, true
	case "max":
		return q.Max, true
	default:
		return nil, false
	}
}

// named returns the count that a metric means.
func (c Counts) named(metric string) (n int64, ok bool) {
	switch metric {
	case "loss", "lost":
		return c.Lost, true
	case "duplicates":
		return c.Duplicates, true
	case "reordered":
		return c.Reordered, true
	case "corrupt":
		return c.Corrupt, true
	default:
		return 0, false
	}
}

// Assert checks claims against the report, keeps them in it, and returns those
// that do not hold. Latency is claimed of every arm whose records are acked: a
// send is fast whatever the cluster does.
func (r *Report) Assert(claims []Assertion) (broken []Assertion) {
	for _, a := range claims {
		a.Holds, a.Detail = a.check(r)
		r.Assertions = append(r.Assertions, a)
		if !a.Holds {
			broken = append(broken, a)
		}
	}
	return broken
}

func (a Assertion) check(r *Report) (holds bool, detail string) {
	switch a.metric {
	case metricGap:
		return false, "known of failovers only"
	case metricValid:
		return r.Generator.Valid, fmt.Sprintf("valid is %t", r.Generator.Valid)
	}
	if _, ok := (Counts{}).named(a.metric); ok {
		if r.Verification == nil || !r.Verification.Complete {
			return false, "not verified"
		}
		n, _ := r.Verification.named(a.metric)
		return a.compare(float64(n)), fmt.Sprintf("%s is %d", a.metric, n)
	}
	var details []string
	holds = true
	for _, arm := range r.Arms {
		if !arm.Acks.Acknowledged() && a.metric != metricErrors {
			continue
		}
		value, text := a.valueOf(arm)
		holds = holds && value != nil && a.compare(*value)
		details = append(details, fmt.Sprintf("acks=%s: %s", arm.Acks, text))
	}
	return holds && len(details) > 0, strings.Join(details, ", ")
}

// valueOf returns the arm's value of the metric; nil when it is unknown.
func (a Assertion) valueOf(arm ArmReport) (value *float64, text string) {
	switch {
	case a.metric == metricRate:
		return &arm.AchievedPerSecond, fmt.Sprintf("%.1f/s", arm.AchievedPerSecond)
	case a.metric == metricErrors && a.share:
		if arm.Offered == 0 {
			return nil, "nothing was offered"
		}
		percent := 100 * float64(arm.Errors) / float64(arm.Offered)
		return &percent, fmt.Sprintf("%.3g%%", percent)
	case a.metric == metricErrors:
		n := float64(arm.Errors)
		return &n, strconv.FormatInt(arm.Errors, 10)
	}
	v, _ := arm.Response.named(a.metric)
	if v == nil {
		return nil, fmt.Sprintf("unknown, %d samples are too few", arm.Response.Count)
	}
	return v, time.Duration(*v * float64(time.Microsecond)).String()
}

func (a Assertion) compare(v float64) bool {
	switch a.operator {
	case "<":
		return v < a.limit
	case "<=":
		return v <= a.limit
	case ">":
		return v > a.limit
	case ">=":
		return v >= a.limit
	default:
		return v == a.limit
	}
}

// Assert checks claims against the report, keeps them in it, and returns those
// that do not hold. "unavailable" is claimed of every partition that the broker
// led.
func (r *FailoverReport) Assert(claims []Assertion) (broken []Assertion) {
	load := r.Load()
	for _, a := range claims {
		if a.metric == metricGap {
			a.Holds, a.Detail = a.checkGaps(r.Partitions)
		} else {
			a.Holds, a.Detail = a.check(load)
		}
		r.Assertions = append(r.Assertions, a)
		if !a.Holds {
			broken = append(broken, a)
		}
	}
	return broken
}

func (a Assertion) checkGaps(partitions []FailoverPartition) (holds bool, detail string) {
	worst, affected := 0.0, 0
	for _, p := range partitions {
		if !p.Affected {
			continue
		}
		affected++
		if p.UnavailableMs == nil || p.FirstAckMs == nil {
			return false, fmt.Sprintf("partition %d took no ack until the end", p.Partition)
		}
		worst = max(worst, *p.UnavailableMs)
	}
	if affected == 0 {
		return false, "the fault did not come to it"
	}
	return a.compare(1000 * worst), fmt.Sprintf("%.1fms at most, of %d partitions", worst, affected)
}
