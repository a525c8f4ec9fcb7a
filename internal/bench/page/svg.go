package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// canvas is a drawing of fixed size. Colours are classes of the style sheet, so
// that they follow the scheme.
type canvas struct {
	width, height float64
	left, right   float64 // of the plot
	top, bottom   float64
	body          strings.Builder
}

// widths of the drawings: what fits a desk, and what fits a phone.
const (
	wide   = 860
	narrow = 350
)

func newCanvas(width, height float64) *canvas {
	return &canvas{width: width, height: height, left: 58, right: width - 26, top: 12, bottom: height - 30}
}

// svg returns the drawing, described for those who do not see it.
func (c *canvas) svg(label string) template.HTML {
	class := "wide"
	if c.width <= narrow {
		class = "narrow"
	}
	//nolint:gosec // every text in it went through escape
	return template.HTML(fmt.Sprintf(`<svg class="%s" viewBox="0 0 %s %s" role="img" aria-label="%s">%s</svg>`,
		class, num(c.width), num(c.height), escape(label), c.body.String()))
}

func escape(s string) string { return html.EscapeString(s) }

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.body, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, num(x1), num(y1), num(x2), num(y2))
}

// text anchors at start, middle or end.
func (c *canvas) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(&c.body, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`, class, anchor, num(x), num(y), escape(s))
}

type point struct{ x, y float64 }

func (c *canvas) path(class string, points []point) {
	if len(points) == 0 {
		return
	}
	fmt.Fprintf(&c.body, `<polyline class="%s" points="`, class)
	for i, p := range points {
		if i > 0 {
			c.body.WriteByte(' ')
		}
		c.body.WriteString(num(p.x) + "," + num(p.y))
	}
	c.body.WriteString(`"/>`)
}

// dot shows its title to the pointer.
func (c *canvas) dot(class string, p point, radius float64, title string) {
	fmt.Fprintf(&c.body, `<circle class="%s" cx="%s" cy="%s" r="%s"><title>%s</title></circle>`, class, num(p.x), num(p.y), num(radius), escape(title))
}

func (c *canvas) rect(class string, x, y, width, height float64, title string) {
	fmt.Fprintf(&c.body, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>`,
		class, num(x), num(y), num(width), num(height), escape(title))
}

// axis is a logarithmic scale of times in microseconds, from bottom to top.
type axis struct{ low, high float64 } // logarithms

// newAxis covers the values in whole decades or, if they lie close together, in
// the steps between.
func newAxis(values []float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	if low > high {
		return axis{low: 2, high: 4}
	}
	return axis{low: math.Log10(stepDown(low)), high: math.Log10(stepUp(high))}
}

// steps divide a decade.
var steps = []float64{1, 2, 5, 10}

func stepDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	best := decade
	for _, s := range steps {
		if s*decade <= v {
			best = s * decade
		}
	}
	return best
}

func stepUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range steps {
		if s*decade > v {
			return s * decade
		}
	}
	return 10 * decade
}

func (a axis) y(c *canvas, us float64) float64 {
	share := (math.Log10(math.Max(us, 1e-9)) - a.low) / (a.high - a.low)
	return c.bottom - (c.bottom-c.top)*math.Max(0, math.Min(1, share))
}

// draw draws the lines and their times. Few decades get the steps between.
func (a axis) draw(c *canvas) {
	each := steps[:3]
	if a.high-a.low > 2.5 {
		each = steps[:1]
	}
	for decade := math.Floor(a.low); decade <= a.high; decade++ {
		for _, s := range each {
			us := s * math.Pow(10, decade)
			if l := math.Log10(us); l < a.low-1e-9 || l > a.high+1e-9 {
				continue
			}
			y := a.y(c, us)
			c.line("grid", c.left, y, c.right, y)
			c.text("tick", "end", c.left-6, y+4, inUnit(us, func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }))
		}
	}
}

// duration shows microseconds to three digits.
func duration(us float64) string {
	return inUnit(us, func(v float64) string {
		digits := 2
		switch {
		case v >= 99.95:
			digits = 0
		case v >= 9.995:
			digits = 1
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	})
}

// inUnit shows microseconds in the unit that people use for them.
func inUnit(us float64, show func(float64) string) string {
	switch {
	case us >= 999_500:
		return show(us/1e6) + " s"
	case us >= 999.5:
		return show(us/1e3) + " ms"
	default:
		return show(us) + " µs"
	}
}
