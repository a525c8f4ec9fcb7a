package isr

import (
	"fmt"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// worst is how far behind the last follower is. A nil means that not one
// follower's number is known; blind, how many followers nothing is known of.
type worst struct {
	records, bytes, millis, caughtUpMS *int64
	blind                              int
}

func worstOf(followers []admin.Follower) worst {
	var w worst
	for _, f := range followers {
		w.records = larger(w.records, f.LagRecords)
		w.bytes = larger(w.bytes, f.LagBytes)
		w.millis = larger(w.millis, f.LagMillis)
		w.caughtUpMS = larger(w.caughtUpMS, f.LastCaughtUpMS)
		if f.LagRecords == nil {
			w.blind++
		}
	}
	return w
}

func larger(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}

// behind shows records, bytes and time together. Followers about which nothing
// is known are counted, whatever the others are.
func (w worst) behind(p admin.ISRPartition) out.Cell {
	if len(p.Followers) == 0 {
		return out.Text("")
	}
	if w.records == nil {
		return out.Unknown()
	}
	cell := out.Cell{Text: "0"}
	if *w.records > 0 || (w.millis != nil && *w.millis > 0) {
		cell.Text = fmt.Sprintf("%s / %s / %s", out.OptCount(w.records).Text, out.OptBytes(w.bytes).Text, out.OptMillis(w.millis).Text)
	}
	if w.blind > 0 {
		cell.Text += fmt.Sprintf(", %d unknown", w.blind)
		cell.Tone = out.Warn
	}
	return cell
}

// caughtUp shows when the last follower was at the leader's end.
func (w worst) caughtUp(p admin.ISRPartition) out.Cell {
	if len(p.Followers) == 0 {
		return out.Text("")
	}
	return ago(w.caughtUpMS)
}

// ago shows a time that lies so many milliseconds back.
func ago(ms *int64) out.Cell {
	cell := out.OptMillis(ms)
	switch {
	case ms == nil:
	case *ms == 0:
		cell.Text = "now"
	default:
		cell.Text += " ago"
	}
	return cell
}
