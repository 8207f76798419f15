package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// plot draws for each step the time over tickets, over clients and over users.
func (b *bench) plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot draw: %w", err)
	}
	for _, over := range []struct {
		file, x string
		value   func(c *circumstances) *int // which differs between points
		tickets int                         // of all points, 0 if they differ
	}{
		{"tickets", "tickets in the cache", func(c *circumstances) *int { return &c.Tickets }, 0},
		{"clients", "clients at once", func(c *circumstances) *int { return &c.Clients }, b.options.crowdTickets()},
		{"users", "other users with stored tickets", func(c *circumstances) *int { return &c.Users }, b.options.tickets[0]},
	} {
		for _, st := range steps {
			ch := chart{title: st.name + ": " + st.about, x: over.x}
			for _, p := range b.peers {
				ch.add(p.name, b.points(st.name, p.name, over.value, over.tickets))
			}
			if !ch.worthwhile() {
				continue
			}
			path := filepath.Join(dir, over.file+"-"+st.name+".svg")
			if err := os.WriteFile(path, []byte(ch.svg()), 0o644); err != nil {
				return fmt.Errorf("cannot draw: %w", err)
			}
		}
	}
	return nil
}

// A point is a value above 0 and a number of microseconds.
type point struct{ x, y float64 }

// points are those of a peer whose circumstances differ in one value only.
func (b *bench) points(step, peer string, value func(*circumstances) *int, tickets int) []point {
	var list []point
	for _, r := range b.results {
		c := r.circumstances
		x := *value(&c)
		usual := usual(c.Tickets)
		if tickets != 0 {
			usual.Tickets = tickets
		}
		*value(&c), *value(&usual) = 0, 0
		if r.Step == step && r.Peer == peer && c == usual && len(r.Turns) > 0 && x > 0 {
			list = append(list, point{float64(x), microseconds(r.quietest())})
		}
	}
	slices.SortFunc(list, func(a, b point) int { return int(a.x - b.x) })
	return list
}

// A chart has lines over logarithmic axes.
type chart struct {
	title, x string
	names    []string
	lines    [][]point
}

func (c *chart) add(name string, line []point) {
	if len(line) > 0 {
		c.names, c.lines = append(c.names, name), append(c.lines, line)
	}
}

// worthwhile reports whether a line has more than one point.
func (c *chart) worthwhile() bool {
	return slices.ContainsFunc(c.lines, func(l []point) bool { return len(l) > 1 })
}

// The area of the lines, in pixels.
const left, right, top, bottom = 80, 620, 50, 450

// colours differ for colour-blind readers too, and dashes for all.
var colours = []string{"#000000", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#e69f00", "#7f7f7f", "#8c564b", "#9467bd", "#bcbd22"}

var dashes = []string{"", "7,3", "2,3"}

// svg draws the chart.
func (c *chart) svg() string {
	var s strings.Builder
	line := func(x1, y1, x2, y2 float64, style string) {
		fmt.Fprintf(&s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
	}
	text := func(x, y float64, anchor, text string) {
		fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" text-anchor="%s">`, x, y, anchor)
		_ = xml.EscapeText(&s, []byte(text)) // a Builder does not fail
		s.WriteString("</text>\n")
	}
	s.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" width="860" height="520" font-family="sans-serif" font-size="13">` + "\n" +
		`<rect width="860" height="520" fill="white"/>` + "\n")
	text(left, 28, "start", c.title)
	text(left, top-6, "start", "microseconds (median of the quietest turn)")
	text((left+right)/2, bottom+42, "middle", c.x)
	x, y := c.axes()
	for _, v := range ticks(x) {
		line(x.at(v), top, x.at(v), bottom, `stroke="#dddddd"`)
		text(x.at(v), bottom+18, "middle", thousands(int(v)))
	}
	for _, v := range ticks(y) {
		line(left, y.at(v), right, y.at(v), `stroke="#dddddd"`)
		text(left-8, y.at(v)+4, "end", fmt.Sprintf("%g", v))
	}
	for i, points := range c.lines {
		style := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"`, colours[i%len(colours)], dashes[i%len(dashes)])
		var path []string
		for _, p := range points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.x), y.at(p.y)))
			fmt.Fprintf(&s, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x.at(p.x), y.at(p.y), colours[i%len(colours)])
		}
		fmt.Fprintf(&s, `<polyline points="%s" %s/>`+"\n", strings.Join(path, " "), style)
		height := float64(top + 8 + 22*i)
		line(right+30, height, right+64, height, style)
		text(right+72, height+4, "start", c.names[i])
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// An axis maps values to pixels by their logarithms.
type axis struct{ low, high, start, end float64 }

func (a axis) at(v float64) float64 {
	return a.start + (a.end-a.start)*math.Log(v/a.low)/math.Log(a.high/a.low)
}

// axes returns axes of whole decades that hold all points.
func (c *chart) axes() (x, y axis) {
	decades := func(value func(point) float64, start, end float64) axis {
		low, high := math.Inf(1), 0.0
		for _, p := range slices.Concat(c.lines...) {
			low, high = min(low, value(p)), max(high, value(p))
		}
		low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		return axis{low, max(high, 10*low), start, end}
	}
	return decades(func(p point) float64 { return p.x }, left, right), decades(func(p point) float64 { return p.y }, bottom, top)
}

// ticks are the powers of ten on an axis.
func ticks(a axis) []float64 {
	var list []float64
	for v := a.low; v <= a.high*1.001; v *= 10 {
		list = append(list, v)
	}
	return list
}
