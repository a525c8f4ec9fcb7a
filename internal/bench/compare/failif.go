package compare

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/bench"
)

// Condition is a change that is not to be, such as "p99 > +5%".
type Condition struct {
	Text     string
	quantile string
	more     bool
	percent  float64
}

// Outcome is what became of a Condition.
type Outcome struct {
	Text   string `json:"text"`
	Failed bool   `json:"failed"`
	Detail string `json:"detail"`
}

var conditionText = regexp.MustCompile(`^(p50|p99|p99\.9|p999)\s*(>|<)\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*%$`)

// ParseConditions reads conditions with commas between them.
func ParseConditions(text string) ([]Condition, error) {
	var conditions []Condition
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		m := conditionText.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("%w: %q is not a condition such as p99 > +5%%; there are p50, p99 and p99.9", bench.ErrConfig, part)
		}
		limit, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", bench.ErrConfig, part, err)
		}
		quantile := m[1]
		if quantile == "p999" {
			quantile = "p99.9"
		}
		conditions = append(conditions, Condition{Text: part, quantile: quantile, more: m[2] == ">", percent: limit})
	}
	return conditions, nil
}

// Check judges the conditions and keeps what became of them. A condition fails
// when the change is beyond its limit and shown to be one, and when it cannot be
// judged, of any arm with acks.
func (r *Report) Check(conditions []Condition) (failed []Outcome) {
	for _, c := range conditions {
		o := Outcome{Text: c.Text}
		var details []string
		for _, got := range r.Comparisons {
			if got.Quantile != c.quantile || !got.Acks.Acknowledged() {
				continue
			}
			detail, bad := c.judge(got)
			o.Failed = o.Failed || bad
			details = append(details, fmt.Sprintf("%s acks=%s: %s", got.Side, got.Acks, detail))
		}
		if len(details) == 0 {
			o.Failed, details = true, []string{"no arm with acks was compared"}
		}
		o.Detail = strings.Join(details, "; ")
		r.FailIf = append(r.FailIf, o)
		if o.Failed {
			failed = append(failed, o)
		}
	}
	return failed
}

func (c Condition) judge(got Comparison) (detail string, failed bool) {
	if got.Verdict == NoVerdict || got.DeltaPercent == nil {
		return "cannot be judged, " + got.Reason, true
	}
	delta := *got.DeltaPercent
	beyond := (c.more && delta > c.percent) || (!c.more && delta < c.percent)
	detail = fmt.Sprintf("%+.1f%%", delta)
	if got.Verdict == NoDifference {
		return detail + ", no difference shown", false
	}
	return detail + ", " + got.Verdict, beyond
}
