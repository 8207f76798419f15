package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kcmd.org/kcmd/tests/cmd/bench/chart"
)

// plot draws for each step how long it takes with more tickets, and with more
// clients.
func (b *bench) plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot draw: %w", err)
	}
	base := circumstances{byCalls, 0, usualSize, 1, 0}
	frames := circumstances{byFrames, 0, usualSize, 1, 0}
	tickets := func(c circumstances) int { return c.Tickets }
	over := []struct {
		file, title, x string
		all            func(c circumstances) bool
		value          func(c circumstances) int
	}{
		{"tickets", "libkrb5's calls", "tickets in the cache", func(c circumstances) bool { c.Tickets = 0; return c == base }, tickets},
		{"frames", "frames", "tickets in the cache", func(c circumstances) bool { c.Tickets = 0; return c == frames }, tickets},
		{"clients", "libkrb5's calls", "clients at once", func(c circumstances) bool {
			same := c.Tickets == b.options.crowd()
			c.Tickets, c.Clients = 0, 1
			return same && c == base
		}, func(c circumstances) int { return c.Clients }},
		{"users", "libkrb5's calls", "other users who have something stored", func(c circumstances) bool {
			same := c.Tickets == b.options.tickets[0] && c.Users > 0
			c.Tickets, c.Users = 0, 0
			return same && c == base
		}, func(c circumstances) int { return c.Users }},
	}
	for _, o := range over {
		for _, st := range steps {
			lines := b.lines(st.name, o.all, o.value)
			if !slices.ContainsFunc(lines, func(l chart.Line) bool { return len(l.Points) > 1 }) {
				continue
			}
			c := chart.Chart{
				Title:  fmt.Sprintf("%s: %s", st.name, o.title),
				X:      o.x,
				Y:      "microseconds (median of the quietest turn)",
				Lines:  lines,
				Footer: st.about,
			}
			if err := writeChart(filepath.Join(dir, o.file+"-"+st.name+".svg"), c); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines are the medians of all peers for a step.
func (b *bench) lines(step string, all func(circumstances) bool, value func(circumstances) int) []chart.Line {
	var lines []chart.Line
	for _, p := range b.peers {
		line := chart.Line{Name: p.name}
		for _, r := range b.results.list {
			if r.Peer == p.name && r.Step == step && all(r.circumstances) && len(r.Took) > 0 {
				line.Points = append(line.Points, chart.Point{X: float64(value(r.circumstances)), Y: microseconds(r.quiet())})
			}
		}
		slices.SortFunc(line.Points, func(a, b chart.Point) int { return int(a.X - b.X) })
		if len(line.Points) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

func writeChart(path string, c chart.Chart) error {
	var svg strings.Builder
	if err := c.Write(&svg); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(svg.String()), 0o644); err != nil {
		return fmt.Errorf("cannot draw: %w", err)
	}
	return nil
}
