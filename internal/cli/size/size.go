// Package size is a flag value for sizes in bytes: 512MiB, 64KB, 1048576.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. It implements pflag.Value.
type Bytes int64

// units from long to short: "KiB" ends in "B" too.
var units = []struct {
	name   string
	factor float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// Parse reads a size with or without a unit. Units ignore case.
func Parse(s string) (Bytes, error) {
	number, factor := strings.TrimSpace(s), 1.0
	for _, u := range units {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, factor = strings.TrimSpace(number[:n]), u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if n *= factor; err != nil || math.IsNaN(n) || n < 0 || n >= math.MaxInt64 || n != math.Trunc(n) {
		return 0, fmt.Errorf("%q is not a size such as 1048576, 64KB, 512MiB", s)
	}
	return Bytes(n), nil
}

// Set implements pflag.Value.
func (b *Bytes) Set(s string) error {
	n, err := Parse(s)
	if err != nil {
		return err
	}
	*b = n
	return nil
}

// String implements pflag.Value: the largest binary unit without a fraction.
func (b *Bytes) String() string {
	n := int64(*b)
	for _, u := range []struct {
		name   string
		factor int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.factor && n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// Type implements pflag.Value.
func (b *Bytes) Type() string { return "size" }
