package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown is the machine, the settings and all rows.
func Markdown(m Machine, rows []Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s on %s, %d cores, %d GiB, Linux %s, %s; load before it %.2f.\n\n",
		m.Date, m.CPU, m.Cores, m.MemoryGiB, m.Kernel, m.Filesystem, m.Load)
	for _, all := range []map[string]string{m.Versions, m.Settings} {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(&b, "- %s: `%s`\n", key, all[key])
		}
	}
	b.WriteString("\n| what | settings | chronik | the other | ratio (95 %) | target | met | dropped turns |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s: %s | %s: %s | %s | %s | %s | %s |\n",
			r.Name, r.Settings, r.Ours, spread(r.A, r.Unit), r.Theirs, spread(r.B, r.Unit), r.ratio(), r.target(), r.met(), r.dropped())
	}
	return b.String()
}

// Losses lists where the other side was better and which targets were not met.
func Losses(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		switch {
		case r.Void != "":
			fmt.Fprintf(&b, "- %s (%s), %s against %s: nothing can be said, %s.\n", r.Name, r.Settings, r.Ours, r.Theirs, r.Void)
		case r.lost():
			fmt.Fprintf(&b, "- **%s** (%s): %s loses to %s, %s.\n", r.Name, r.Settings, r.Ours, r.Theirs, r.ratio())
		case r.Target != 0 && !r.Met:
			fmt.Fprintf(&b, "- %s (%s), %s against %s: %s, the target is %s.\n", r.Name, r.Settings, r.Ours, r.Theirs, r.ratio(), r.target())
		}
	}
	if b.Len() == 0 {
		return "Nowhere in this run.\n"
	}
	return b.String()
}

func (r Row) ratio() string {
	if r.Void != "" {
		return "void: " + r.Void
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Ratio, r.RatioLow, r.RatioHigh)
}

func (r Row) target() string {
	switch {
	case r.Target == 0:
		return "-"
	case r.MoreIsBetter:
		return fmt.Sprintf("≥ %.2f", r.Target)
	default:
		return fmt.Sprintf("≤ %.2f", r.Target)
	}
}

func (r Row) met() string {
	switch {
	case r.Target == 0 || r.Void != "":
		return "-"
	case r.Met:
		return "yes"
	default:
		return "no"
	}
}

func (r Row) dropped() string {
	text := fmt.Sprintf("%d of %d, %d of %d", r.DroppedA, len(r.A)+r.DroppedA, r.DroppedB, len(r.B)+r.DroppedB)
	if r.Notes != "" {
		text += "; " + r.Notes
	}
	return text
}

// spread is the median, and the least and greatest in brackets.
func spread(all []float64, unit string) string {
	if len(all) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s [%s-%s] %s", digits(median(all)), digits(slices.Min(all)), digits(slices.Max(all)), unit)
}

// digits is a number with three digits, without an exponent.
func digits(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Insert returns a document with what lies between the markers of a name
// replaced by a block.
func Insert(document, name, block string) (string, error) {
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", name), fmt.Sprintf("<!-- %s: end -->\n", name)
	before, rest, ok := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("no markers %q", name)
	}
	return before + begin + "\n" + block + "\n" + end + after, nil
}
