package out

import (
	"strconv"
	"strings"
	"time"
)

// Level says in which formats a column appears.
type Level uint8

// Levels of columns.
const (
	Always  Level = iota // table, wide and TSV
	WideTSV              // wide and TSV
	TSVOnly              // TSV alone: tables show it elsewhere
	Tables               // table and wide: TSV has the parts in columns
)

// Column is one column of a grid.
type Column struct {
	Header string // what tables print
	Field  string // what --columns and the TSV documentation call it
	Level  Level
	Right  bool // numbers align right
}

// Grid is rows of cells under columns.
type Grid struct {
	Columns []Column
	Rows    [][]Cell
}

// Tone is the meaning of a cell's colour. Colour never carries a meaning
// alone: the text says it too.
type Tone uint8

// Tones.
const (
	Plain Tone = iota
	Good
	Warn
	Bad
	Dim
)

// Cell is one value: for people, and for machines.
type Cell struct {
	Text string // "918,221"
	Raw  string // "918221"; empty means the same as Text
	Tone Tone
}

// In returns the cell in another tone.
func (c Cell) In(t Tone) Cell {
	c.Tone = t
	return c
}

// raw returns the machine form; nothing is "-", so that columns can be cut.
func (c Cell) raw() string {
	switch {
	case c.Raw != "":
		return clean(c.Raw)
	case c.Text != "":
		return clean(c.Text)
	default:
		return "-"
	}
}

// clean keeps a value on its line and in its column.
func clean(s string) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(s)
}

// Text returns a cell of plain text; the empty string is shown as "-".
func Text(s string) Cell {
	if s == "" {
		return Cell{Text: "-"}
	}
	return Cell{Text: clean(s)}
}

// Int returns a small number: an id, an epoch, a count of replicas.
func Int[T ~int | ~int32 | ~int64](n T) Cell {
	return Cell{Text: strconv.FormatInt(int64(n), 10)}
}

// OptInt is Int of a number that may be unknown.
func OptInt[T ~int | ~int32 | ~int64](n *T) Cell {
	if n == nil {
		return Unknown()
	}
	return Int(*n)
}

// OptText is Text of something that may not be there.
func OptText(s *string) Cell {
	if s == nil {
		return Text("")
	}
	return Text(*s)
}

// YesNo returns a cell for a truth.
func YesNo(yes bool) Cell {
	if yes {
		return Cell{Text: "yes"}
	}
	return Cell{Text: "no"}
}

// Leader returns the id of a leader; below 0 there is none.
func Leader(id int32) Cell {
	if id < 0 {
		return Cell{Text: "none", Raw: "-1", Tone: Bad}
	}
	return Int(id)
}

// Count returns a number that may be large, in groups of three digits.
func Count(n int64) Cell {
	return Cell{Text: group(n), Raw: strconv.FormatInt(n, 10)}
}

// OptCount is Count of a number that may be unknown.
func OptCount(n *int64) Cell {
	if n == nil {
		return Unknown()
	}
	return Count(*n)
}

// Unknown returns the cell of a value nobody reported. It is not a zero.
func Unknown() Cell { return Cell{Text: "?", Raw: "-", Tone: Dim} }

// IDs returns a list of broker ids.
func IDs(ids []int32) Cell {
	if len(ids) == 0 {
		return Cell{Text: "-"}
	}
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = strconv.FormatInt(int64(id), 10)
	}
	return Cell{Text: strings.Join(s, ",")}
}

// OptIDs is IDs of a list that may be unknown, which nil stands for.
func OptIDs(ids []int32) Cell {
	if ids == nil {
		return Unknown()
	}
	return IDs(ids)
}

// Bytes returns a size in binary units.
func Bytes(n int64) Cell {
	return Cell{Text: FormatBytes(n), Raw: strconv.FormatInt(n, 10)}
}

// OptBytes is Bytes of a size that may be unknown.
func OptBytes(n *int64) Cell {
	if n == nil {
		return Unknown()
	}
	return Bytes(*n)
}

// OptMillis returns a duration given in milliseconds that may be unknown.
func OptMillis(ms *int64) Cell {
	if ms == nil {
		return Unknown()
	}
	return Cell{Text: FormatDuration(time.Duration(*ms) * time.Millisecond), Raw: strconv.FormatInt(*ms, 10)}
}

// OptMicros returns a duration given in microseconds that may be unknown.
func OptMicros(us *int64) Cell {
	if us == nil {
		return Unknown()
	}
	return Cell{Text: FormatDuration(time.Duration(*us) * time.Microsecond), Raw: strconv.FormatInt(*us, 10)}
}

// OptShare returns a share between 0 and 1 that may be unknown, in percent.
func OptShare(share *float64) Cell {
	if share == nil {
		return Unknown()
	}
	return Cell{
		Text: strconv.FormatFloat(*share*100, 'f', 0, 64) + "%",
		Raw:  strconv.FormatFloat(*share, 'f', -1, 64),
	}
}

// FormatBytes returns a size such as "38.1MiB".
func FormatBytes(n int64) string {
	const unit = 1024
	if n < unit && n > -unit {
		return strconv.FormatInt(n, 10) + "B"
	}
	v := float64(n) / unit
	for _, suffix := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if v < unit && v > -unit {
			return strconv.FormatFloat(v, 'f', 1, 64) + suffix
		}
		v /= unit
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + "EiB"
}

// FormatDuration returns a duration with the precision people compare by:
// "0.21ms", "1.7ms", "38.2s", "4m12s", "12d4h".
func FormatDuration(d time.Duration) string {
	fixed := func(v float64, unit string) string {
		decimals := 1
		if v < 1 {
			decimals = 2
		}
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', decimals, 64), "0"), ".") + unit
	}
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return fixed(float64(d)/float64(time.Millisecond), "ms")
	case d < time.Minute:
		return fixed(d.Seconds(), "s")
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m" + strconv.Itoa(int(d.Seconds())%60) + "s"
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h" + strconv.Itoa(int(d.Minutes())%60) + "m"
	default:
		return strconv.Itoa(int(d.Hours())/24) + "d" + strconv.Itoa(int(d.Hours())%24) + "h"
	}
}

func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// State returns the state of a partition or a link, in the colour of how much
// it matters.
func State(state string) Cell {
	c := Text(state)
	switch state {
	case "ok", "in_sync":
		return c.In(Good)
	case "offline", "under_min_isr", "failed", "disk_full", "unknown":
		return c.In(Bad)
	case "":
		return c
	default:
		return c.In(Warn)
	}
}
