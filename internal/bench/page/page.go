package page

import (
	_ "embed" // the page itself
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/chronik-project/chronik/internal/bench"
)

//go:embed page.html
var source string

var tmpl = template.Must(template.New("page").Funcs(template.FuncMap{
	"time": func(us *float64) string {
		if us == nil {
			return "–"
		}
		return duration(*us)
	},
	"arm": armClass,
	"millis": func(ms *float64) string {
		if ms == nil {
			return "–"
		}
		return duration(*ms * 1000)
	},
	"div":      func(a, b float64) float64 { return a / b },
	"percent":  func(share float64) string { return fmt.Sprintf("%.0f%%", share*100) },
	"text":     optional,
	"seconds":  func(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) },
	"cohort":   cohortName,
	"stages":   stagesOf,
	"duration": duration,
}).Parse(source))

// optional shows what is known, and says when nothing is.
func optional(v any) string {
	switch v := v.(type) {
	case *string:
		if v != nil {
			return *v
		}
	case *int:
		if v != nil {
			return fmt.Sprint(*v)
		}
	case *int64:
		if v != nil {
			return fmt.Sprint(*v)
		}
	case *float64:
		if v != nil {
			return fmt.Sprintf("%g", *v)
		}
	}
	return "unknown"
}

// content is what the page shows.
type content struct {
	*bench.Report
	Title    string
	Spectrum template.HTML
	OverTime template.HTML
	Bars     []bar
	Failover []bench.FailoverPartition
	Data     any // what the page was made of, as JSON
}

// bar is the stages of one arm.
type bar struct {
	bench.StageReport
	Drawing template.HTML
	Stages  []stage
}

// Class is the colour of a stage.
func (s stage) Class() string { return s.class }

// Micros is how long it takes.
func (s stage) Micros() float64 { return s.us }

// Write writes the page.
func Write(w io.Writer, r *bench.Report) error {
	return execute(w, content{Report: r, Title: title(r), Data: r})
}

// WriteFailover writes the page of a failover.
func WriteFailover(w io.Writer, f *bench.FailoverReport) error {
	r := f.Load()
	return execute(w, content{Report: r, Title: f.Fault.Kind + " of a leader: " + title(r), Failover: f.Partitions, Data: f})
}

func execute(w io.Writer, c content) error {
	r := c.Report
	c.Spectrum = drawings(func(width float64) template.HTML { return spectrum(r, width) })
	if len(r.Intervals) > 0 {
		c.OverTime = drawings(func(width float64) template.HTML { return overTime(r, width) })
	}
	for _, s := range r.Stages {
		if len(s.Cohorts) == 0 {
			continue
		}
		b := bar{StageReport: s, Stages: stagesOf(s.Cohorts[0])}
		b.Drawing = drawings(func(width float64) template.HTML { return bars(s, width) })
		c.Bars = append(c.Bars, b)
	}
	if err := tmpl.Execute(w, c); err != nil {
		return fmt.Errorf("lay out the report: %w", err)
	}
	return nil
}

func title(r *bench.Report) string {
	var names []string
	for _, arm := range r.Arms {
		names = append(names, string(arm.Acks))
	}
	load := "closed loop"
	if r.Settings.RatePerSecond != nil {
		load = fmt.Sprintf("%g records/s", *r.Settings.RatePerSecond)
	}
	way := ""
	if len(r.Arms) > 0 && r.Arms[0].LatencyOf == bench.LatencyOfConsumption {
		way = "from produce to consume, "
	}
	return fmt.Sprintf("%sacks=%s, %s", way, strings.Join(names, " and "), load)
}
