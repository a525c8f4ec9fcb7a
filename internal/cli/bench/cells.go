package bench

import (
	"strconv"
	"time"

	"github.com/chronik-project/chronik/internal/cli/out"
)

// optMicros is a time in microseconds; nil, for lack of samples, is "-".
func optMicros(us *float64) out.Cell {
	if us == nil {
		return out.Cell{Text: "-"}
	}
	d := time.Duration(*us * float64(time.Microsecond))
	return out.Cell{Text: millis(d), Raw: strconv.FormatFloat(*us, 'f', -1, 64)}
}

// millis shows a latency to three digits, in milliseconds up to a second.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + "s"
	case ms >= 100:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "ms"
	default:
		return strconv.FormatFloat(ms, 'f', 2, 64) + "ms"
	}
}

// rate is records per second.
func rate(v float64) out.Cell {
	return out.Cell{Text: groupFloat(v), Raw: strconv.FormatFloat(v, 'f', -1, 64)}
}

func optRate(v *float64) out.Cell {
	if v == nil {
		return out.Cell{Text: "-"}
	}
	return rate(*v)
}

func group(n int64) string { return out.Count(n).Text }

// groupFloat shows whole records of a rate, or one decimal of a slow one.
func groupFloat(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return group(int64(v + 0.5))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func unknown(s *string) string {
	if s == nil {
		return "unknown"
	}
	return *s
}

func unknownInt(n *int) string {
	if n == nil {
		return "unknown"
	}
	return strconv.Itoa(*n)
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
