package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-project/chronik/internal/bench"
)

// drawings is one chart in every width.
func drawings(draw func(width float64) template.HTML) template.HTML {
	return draw(wide) + draw(narrow)
}

// armClass is the colour of an arm: the same in every chart.
func armClass(r *bench.Report, acks bench.Arm) string {
	i := slices.IndexFunc(r.Arms, func(a bench.ArmReport) bool { return a.Acks == acks })
	return "arm" + strconv.Itoa(max(i, 0)%4)
}

// spectrum draws the time at each quantile, the rare ones as wide as the usual
// ones: the horizontal scale is the logarithm of 1/(1-p).
func spectrum(r *bench.Report, width float64) template.HTML {
	c := newCanvas(width, 300)
	var values []float64
	last := 1.0 // nines
	curves := map[bench.Arm]map[bench.Kind][]bench.SpectrumPoint{}
	for _, arm := range r.Arms {
		curves[arm.Acks] = map[bench.Kind][]bench.SpectrumPoint{}
		for _, k := range []bench.Kind{bench.KindResponse, bench.KindService} {
			points := r.Spectrum(k, arm.Acks)
			curves[arm.Acks][k] = points
			for _, p := range points {
				values = append(values, p.Micros)
				last = math.Max(last, nines(p.Quantile))
			}
		}
	}
	a := newAxis(values)
	a.draw(c)
	last = math.Ceil(last*2) / 2
	x := func(n float64) float64 { return c.left + (c.right-c.left)*n/last }
	for n := 0; float64(n) <= last; n++ {
		c.line("grid", x(float64(n)), c.top, x(float64(n)), c.bottom)
		if width > narrow || last <= 4 || n%2 == int(last)%2 {
			c.text("tick", "middle", x(float64(n)), c.bottom+18, percentileName(n))
		}
	}
	for _, arm := range r.Arms {
		for _, k := range []bench.Kind{bench.KindService, bench.KindResponse} {
			var points []point
			for _, p := range curves[arm.Acks][k] {
				points = append(points, point{x(math.Min(nines(p.Quantile), last)), a.y(c, p.Micros)})
			}
			c.path(fmt.Sprintf("curve %s %s", k, armClass(r, arm.Acks)), points)
		}
	}
	return c.svg("percentile spectrum: latency by percentile, logarithmic; the table of arms has the values")
}

// nines is the logarithm of 1/(1-p).
func nines(q float64) float64 {
	if q >= 1 {
		return 0
	}
	return -math.Log10(1 - q)
}

func percentileName(n int) string {
	switch n {
	case 0:
		return "0%"
	case 1:
		return "90%"
	case 2:
		return "99%"
	}
	return "99." + "9999999999"[:min(n-2, 10)] + "%"
}

// overTime draws p50 and p99 of each second, and numbers the events.
func overTime(r *bench.Report, width float64) template.HTML {
	c := newCanvas(width, 280)
	seconds, values := perSecond(r)
	a := newAxis(values)
	a.draw(c)
	end := 1.0
	for _, s := range seconds {
		end = math.Max(end, s.end)
	}
	x := func(s float64) float64 { return c.left + (c.right-c.left)*math.Max(0, math.Min(1, s/end)) }
	timeTicks(c, x, end)
	during(r, c, x, end)
	events(r, c, x)
	for _, arm := range r.Arms {
		class := armClass(r, arm.Acks)
		for _, turn := range turns(seconds, arm.Acks) {
			var p50s, p99s []point
			for _, s := range turn {
				middle := x((s.start + s.end) / 2)
				p50s = append(p50s, point{middle, a.y(c, s.p50)})
				p99s = append(p99s, point{middle, a.y(c, s.p99)})
			}
			c.path("curve service "+class, p50s)
			c.path("curve response "+class, p99s)
		}
	}
	if len(seconds) <= 150 {
		for _, s := range seconds {
			title := fmt.Sprintf("acks=%s, second %.0f: p50 %s, p99 %s, max %s", s.acks, s.start, duration(s.p50), duration(s.p99), duration(s.most))
			c.dot("dot "+armClass(r, s.acks), point{x((s.start + s.end) / 2), a.y(c, s.p99)}, 2.5, title)
		}
	}
	return c.svg("latency over time: p50 and p99 of each second, with events")
}

// during shades the time of the faults.
func during(r *bench.Report, c *canvas, x func(float64) float64, end float64) {
	if r.FaultsBeganMs == nil {
		return
	}
	if r.FaultsEndedMs != nil {
		end = *r.FaultsEndedMs / 1000
	}
	from, to := x(*r.FaultsBeganMs/1000), x(end)
	c.rect("during", from, c.top, math.Max(to-from, 1), c.bottom-c.top, "from the first fault until all were undone and every replica was in sync")
}

// events draws a line for each, and their numbers in rows where they are close.
func events(r *bench.Report, c *canvas, x func(float64) float64) {
	const rows, apart = 4, 16
	var last [rows]float64 // position of the last number in each row
	for i := range last {
		last[i] = -apart
	}
	for i, e := range r.Events {
		at := x(float64(e.Millis) / 1000)
		class := "event"
		if e.Kind == bench.EventFault {
			class = "event fault"
		}
		c.line(class, at, c.top, at, c.bottom)
		for row := range last {
			if at-last[row] >= apart {
				last[row] = at
				c.text("eventtext", "middle", at, c.top+2+12*float64(row), strconv.Itoa(i+1))
				break
			}
		}
	}
}

// second is one interval of one arm.
type second struct {
	acks           bench.Arm
	start, end     float64 // seconds since the start
	p50, p99, most float64 // microseconds
}

// turns divides the seconds of an arm where it paused for others: a line across
// that would show what nobody measured. Turns so short that each is a point are
// one line.
func turns(all []second, acks bench.Arm) [][]second {
	var own []second
	for _, s := range all {
		if s.acks == acks {
			own = append(own, s)
		}
	}
	var gaps []float64
	for i := 1; i < len(own); i++ {
		gaps = append(gaps, own[i].start-own[i-1].start)
	}
	slices.Sort(gaps)
	var divided [][]second
	from := 0
	for i := 1; i < len(own); i++ {
		if own[i].start-own[i-1].start > 2.5*gaps[len(gaps)/2] {
			divided, from = append(divided, own[from:i]), i
		}
	}
	return append(divided, own[from:])
}

func perSecond(r *bench.Report) (seconds []second, values []float64) {
	for i := range r.Intervals {
		iv := &r.Intervals[i]
		if iv.Response.TotalCount() == 0 {
			continue
		}
		us := func(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }
		s := second{
			acks: iv.Acks, start: iv.Start.Sub(r.Started).Seconds(), end: iv.End.Sub(r.Started).Seconds(),
			p50: us(iv.Response.ValueAtPercentile(50)), p99: us(iv.Response.ValueAtPercentile(99)), most: us(iv.Response.Max()),
		}
		seconds = append(seconds, s)
		values = append(values, s.p50, s.p99)
	}
	slices.SortStableFunc(seconds, func(a, b second) int {
		if a.start < b.start {
			return -1
		} else if a.start > b.start {
			return 1
		}
		return 0
	})
	return seconds, values
}

func timeTicks(c *canvas, x func(float64) float64, end float64) {
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600} {
		step = s
		if end/s <= (c.right-c.left)/60 {
			break
		}
	}
	for s := 0.0; s <= end; s += step {
		c.text("tick", "middle", x(s), c.bottom+18, clock(s))
	}
}

// clock shows seconds: 45s, 2m, 2m30s.
func clock(s float64) string {
	text := (time.Duration(s) * time.Second).String()
	if trimmed, ok := strings.CutSuffix(text, "m0s"); ok {
		return trimmed + "m"
	}
	return text
}

// stage is one part of a bar.
type stage struct {
	Name  string
	class string
	us    float64
}

// stagesOf returns the parts of a cohort that are known.
func stagesOf(c bench.Cohort) []stage {
	all := []struct {
		name string
		us   *float64
	}{
		{"client", &c.Client},
		{"net", &c.Net},
		{"queue", c.Queue},
		{"append", c.Append},
		{"fsync", c.Fsync},
		{"follower", c.Slowest},
		{"respond", c.Respond},
	}
	var parts []stage
	for i, s := range all {
		if s.us != nil {
			parts = append(parts, stage{Name: s.name, class: "stage" + strconv.Itoa(i), us: math.Max(*s.us, 0)})
		}
	}
	return parts
}

// bars draws a bar of stages for each cohort. Bars of one arm have one scale, or
// the median would be a line beside the tail.
func bars(s bench.StageReport, width float64) template.HTML {
	const row = 46
	c := newCanvas(width, float64(len(s.Cohorts)*row+6))
	c.left, c.right = 2, width-2
	for i, cohort := range s.Cohorts {
		y := float64(i * row)
		c.text("label", "start", c.left, y+14, fmt.Sprintf("%s: mean %s", cohortName(cohort), duration(cohort.Mean)))
		x := c.left
		var total float64
		for _, part := range stagesOf(cohort) {
			total += part.us
		}
		for _, part := range stagesOf(cohort) {
			w := (c.right - c.left) * part.us / math.Max(total, 1e-9)
			c.rect("stage "+part.class, x, y+20, math.Max(w-1, 0), 18, fmt.Sprintf("%s %s, %.0f%%", part.Name, duration(part.us), 100*part.us/math.Max(total, 1e-9)))
			x += w
		}
	}
	return c.svg("where the time of acks=" + string(s.Acks) + " goes; the table below has the values")
}

func cohortName(c bench.Cohort) string {
	if c.Name == bench.CohortAll {
		return "all"
	}
	return fmt.Sprintf("%s (p%s to p%s)", c.Name, num(c.From*100), num(c.To*100))
}
