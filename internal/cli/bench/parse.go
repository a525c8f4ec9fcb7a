package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rateValue is a flag of records per second: 1000, 20k, 1.5M.
type rateValue float64

// String implements pflag.Value.
func (v *rateValue) String() string { return strconv.FormatFloat(float64(*v), 'f', -1, 64) }

// Type implements pflag.Value.
func (v *rateValue) Type() string { return "rate" }

// Set implements pflag.Value.
func (v *rateValue) Set(s string) error {
	n, err := parseScaled(strings.TrimSuffix(s, "/s"), []scale{{"k", 1e3}, {"M", 1e6}})
	if err != nil || n <= 0 {
		return fmt.Errorf("%q is not a rate such as 1000, 20k, 1.5M", s)
	}
	*v = rateValue(n)
	return nil
}

// countValue is a flag of records: 1000000, 500k, 2M.
type countValue int64

// String implements pflag.Value.
func (v *countValue) String() string { return strconv.FormatInt(int64(*v), 10) }

// Type implements pflag.Value.
func (v *countValue) Type() string { return "count" }

// Set implements pflag.Value.
func (v *countValue) Set(s string) error {
	n, err := parseScaled(s, []scale{{"k", 1e3}, {"M", 1e6}})
	if err != nil || n < 1 || n != math.Trunc(n) {
		return fmt.Errorf("%q is not a number of records such as 1000, 500k, 2M", s)
	}
	*v = countValue(n)
	return nil
}

// bytesValue is a flag of a size: 100, 1KiB, 64KB.
type bytesValue int

// String implements pflag.Value.
func (v *bytesValue) String() string { return strconv.Itoa(int(*v)) }

// Type implements pflag.Value.
func (v *bytesValue) Type() string { return "size" }

// Set implements pflag.Value.
func (v *bytesValue) Set(s string) error {
	n, err := parseScaled(s, []scale{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"KB", 1e3}, {"MB", 1e6}, {"B", 1}})
	if err != nil || n < 1 || n > math.MaxInt32 || n != math.Trunc(n) {
		return fmt.Errorf("%q is not a size such as 100, 1KiB, 64KB", s)
	}
	*v = bytesValue(n)
	return nil
}

// scale is a unit and what it multiplies by.
type scale struct {
	unit   string
	factor float64
}

func parseScaled(s string, scales []scale) (float64, error) {
	s = strings.TrimSpace(s)
	factor := 1.0
	for _, sc := range scales {
		if number, ok := strings.CutSuffix(s, sc.unit); ok {
			s, factor = strings.TrimSpace(number), sc.factor
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n * factor, nil
}
