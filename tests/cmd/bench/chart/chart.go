// Package chart draws lines over logarithmic axes as SVG. It knows nothing of what
// is measured, and imports nothing of this module.
package chart

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A Chart is a title, two axes and lines.
type Chart struct {
	Title  string
	X, Y   string // what is on the axes, with units
	Lines  []Line
	Footer string // a line of small print
}

// A Line is the points of one name, in the order of X.
type Line struct {
	Name   string
	Points []Point
}

// A Point is a place in the chart. What is not above 0 is not on a logarithmic
// axis, and left out.
type Point struct{ X, Y float64 }

// Where the chart is in the picture, in pixels.
const (
	width, height            = 860, 520
	left, right, top, bottom = 80, 620, 50, 450
	legendX, legendStep      = 650, 22
)

// colours are told apart by people who do not see all of them, and lines are
// also told apart by dashes and by the shapes of their points.
var colours = []string{"#000000", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#e69f00", "#7f7f7f", "#8c564b", "#9467bd", "#bcbd22"}

var dashes = []string{"", "7,3", "2,3"}

// Write writes the chart as an SVG document.
func (c Chart) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(out, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	label(out, left, 28, "start", 17, c.Title)
	label(out, (left+right)/2, bottom+42, "middle", 13, c.X)
	fmt.Fprintf(out, `<g transform="translate(22,%d) rotate(-90)">`, (top+bottom)/2)
	label(out, 0, 0, "middle", 13, c.Y)
	fmt.Fprintln(out, `</g>`)
	label(out, left, height-12, "start", 11, c.Footer)

	x, y := c.axes()
	x.drawX(out, c.values())
	y.drawY(out)
	for i, line := range c.Lines {
		drawLine(out, x, y, i, line)
	}
	fmt.Fprintln(out, `</svg>`)
	return out.Flush()
}

// An axis maps values to pixels, by their logarithms.
type axis struct {
	low, high  float64 // values
	start, end float64 // pixels
}

// axes returns axes on which all points are.
func (c Chart) axes() (x, y axis) {
	x = axis{math.Inf(1), 0, left, right}
	y = axis{math.Inf(1), 0, bottom, top}
	for _, line := range c.Lines {
		for _, p := range line.Points {
			if p.X > 0 && p.Y > 0 {
				x.low, x.high = min(x.low, p.X), max(x.high, p.X)
				y.low, y.high = min(y.low, p.Y), max(y.high, p.Y)
			}
		}
	}
	if x.high == 0 { // no points
		x.low, x.high, y.low, y.high = 1, 10, 1, 10
	}
	// Whole decades upwards, so that lines have room.
	y.low, y.high = math.Pow(10, math.Floor(math.Log10(y.low))), math.Pow(10, math.Ceil(math.Log10(y.high)))
	return x.wide(), y.wide()
}

// wide returns an axis that has at least some room.
func (a axis) wide() axis {
	if a.high/a.low < 2 {
		a.low, a.high = a.low/2, a.high*2
	}
	return a
}

func (a axis) at(v float64) float64 {
	part := math.Log(v/a.low) / math.Log(a.high/a.low)
	return a.start + part*(a.end-a.start)
}

// ticks returns the powers of ten on the axis, and with few of them also others.
func (a axis) ticks() []float64 {
	steps := []float64{1}
	if a.high/a.low < 1000 {
		steps = []float64{1, 3}
	}
	if a.high/a.low < 20 {
		steps = []float64{1, 2, 5}
	}
	var list []float64
	for decade := math.Pow(10, math.Floor(math.Log10(a.low))); decade <= a.high; decade *= 10 {
		for _, s := range steps {
			if v := decade * s; v >= a.low*0.999 && v <= a.high*1.001 {
				list = append(list, v)
			}
		}
	}
	return list
}

// values returns the values of X, each once and in order.
func (c Chart) values() []float64 {
	var list []float64
	for _, line := range c.Lines {
		for _, p := range line.Points {
			if p.X > 0 && p.Y > 0 {
				list = append(list, p.X)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// drawX has a tick for each value: there are few, and they are what was measured.
func (a axis) drawX(w io.Writer, values []float64) {
	for _, v := range values {
		x := a.at(v)
		fmt.Fprintf(w, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#dddddd"/>`+"\n", x, top, x, bottom)
		label(w, x, bottom+18, "middle", 12, number(v))
	}
	fmt.Fprintf(w, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="black"/>`+"\n", left, bottom, right, bottom)
}

func (a axis) drawY(w io.Writer) {
	for _, v := range a.ticks() {
		y := a.at(v)
		fmt.Fprintf(w, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", left, y, right, y)
		label(w, left-8, y+4, "end", 12, number(v))
	}
	fmt.Fprintf(w, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="black"/>`+"\n", left, top, left, bottom)
}

// drawLine draws line number i and its entry in the legend.
func drawLine(w io.Writer, x, y axis, i int, line Line) {
	colour := colours[i%len(colours)]
	style := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"`, colour, dashes[i%len(dashes)])
	var path strings.Builder
	for _, p := range line.Points {
		if p.X <= 0 || p.Y <= 0 {
			continue
		}
		fmt.Fprintf(&path, "%.1f,%.1f ", x.at(p.X), y.at(p.Y))
		mark(w, x.at(p.X), y.at(p.Y), i, colour)
	}
	fmt.Fprintf(w, `<polyline points="%s" %s/>`+"\n", strings.TrimSpace(path.String()), style)
	height := float64(top + 8 + i*legendStep)
	fmt.Fprintf(w, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" %s/>`+"\n", legendX, height, legendX+34, height, style)
	mark(w, legendX+17, height, i, colour)
	label(w, legendX+42, height+4, "start", 13, line.Name)
}

// mark draws a point of line number i.
func mark(w io.Writer, x, y float64, i int, colour string) {
	switch i % 4 {
	case 0:
		fmt.Fprintf(w, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, colour)
	case 1:
		fmt.Fprintf(w, `<rect x="%.1f" y="%.1f" width="8" height="8" fill="%s"/>`+"\n", x-4, y-4, colour)
	case 2:
		fmt.Fprintf(w, `<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f" fill="%s"/>`+"\n", x, y-5, x-5, y+4, x+5, y+4, colour)
	default:
		fmt.Fprintf(w, `<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f" fill="%s"/>`+"\n", x, y-5, x-5, y, x, y+5, x+5, y, colour)
	}
}

func label(w io.Writer, x, y float64, anchor string, size int, text string) {
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">`, x, y, anchor, size)
	// A writer that fails fails again at its end.
	_ = xml.EscapeText(w, []byte(text))
	fmt.Fprintln(w, `</text>`)
}

// number writes a value of an axis.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%g k", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
