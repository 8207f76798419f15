package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		switch {
		case n >= 10*unit.size:
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		case n >= unit.size:
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// digits writes a number with three significant digits, or all of a larger one.
func digits(x float64) string {
	switch {
	case x >= 100:
		return thousands(int(x + 0.5))
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 0.1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

func micros(d time.Duration) string { return digits(microseconds(d)) }

// progress shows on a terminal what is measured. "" clears the line.
func (b *bench) progress(what string) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", what)
	}
}

// note keeps a line for the end of the report.
func (b *bench) note(line string) {
	if !slices.Contains(b.notes, line) {
		b.notes = append(b.notes, line)
	}
}

// A table is printed with aligned columns.
type table [][]string

func (t table) print(w io.Writer, title string) {
	if len(t) < 2 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	tw.Flush()
}

// report prints all figures and the marks.
func (b *bench) report(w io.Writer) {
	for i, r := range b.results {
		if i == 0 || b.results[i-1].circumstances != r.circumstances {
			b.stepTable(r.circumstances).print(w, r.circumstances.String()+" (us: on one processor; median/99th percentile on any)")
		}
	}
	b.figureTable().print(w, fmt.Sprintf("Other figures (times are medians; stored users have %d tickets each)", ticketsEach))
	b.markTable().print(w, "The marks")
	for _, p := range b.peers {
		if p.failure != nil {
			b.note(fmt.Sprintf("%s: %v", p.name, p.failure))
		}
	}
	for _, line := range b.notes {
		fmt.Fprintln(w, line)
	}
	if b.options.tables {
		b.printTables(w)
	}
}

// header is the first row of a table with a column for each peer.
func (b *bench) header() []string { return append([]string{""}, b.peerNames()...) }

// stepTable has for each step a line of times, and a line of what kcmd's are of each
// peer's.
func (b *bench) stepTable(c circumstances) table {
	t := table{b.header()}
	var done []string
	for _, r := range b.results {
		if r.circumstances != c || slices.Contains(done, r.Step) {
			continue
		}
		done = append(done, r.Step)
		times, ours, rates := []string{r.Step}, []string{"  " + b.reference() + " is"}, []string{"  a second"}
		for _, name := range b.peerNames() {
			k := key{c, r.Step, name}
			times = append(times, b.timesOf(b.results.find(k)))
			ours = append(ours, b.ratio(key{c, r.Step, b.reference()}, k))
			rates = append(rates, b.rateOf(k))
		}
		t = append(t, times, ours)
		if c.Clients > 1 && strings.TrimSpace(strings.Join(rates[1:], "")) != "" {
			t = append(t, rates)
		}
	}
	return t
}

// timesOf returns the cell of a result, and notes its failure.
func (b *bench) timesOf(r *result) string {
	err := r.failure
	if err != nil && !errors.Is(err, errNot) {
		b.note(fmt.Sprintf("%s: %v", r.Peer, err))
	}
	switch {
	case len(r.Took)+len(r.Turns) > 0:
		var cell []string
		if one, ok := b.results.quietest(r.key); ok && r.Clients == 1 {
			cell = append(cell, micros(one))
		}
		if len(r.Took) > 0 {
			cell = append(cell, micros(r.Took.median())+"/"+micros(r.Took.quantile(0.99)))
		}
		return strings.Join(cell, "; ")
	case errors.Is(err, errSlow):
		return "too slow"
	case err == nil || errors.Is(err, errNot):
		return "-"
	}
	return "fails"
}

// rateOf returns how often a second all clients together do a step, and what the
// reference does of that.
func (b *bench) rateOf(k key) string {
	r, ours := b.results.find(k), b.results.find(key{k.circumstances, k.Step, b.reference()})
	if r == nil || ours == nil || r.Rate == 0 || ours.Rate == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%sx)", thousands(int(r.Rate)), digits(ours.Rate/r.Rate))
}

// ratio returns the ratio of two results, "" without one of them.
func (b *bench) ratio(x, y key) string {
	a, ok := b.results.quietest(x)
	c, ok2 := b.results.quietest(y)
	if !ok || !ok2 || c == 0 {
		return ""
	}
	return digits(float64(a)/float64(c)) + "x"
}

// reference is the kcmd to compare other peers with.
func (b *bench) reference() string {
	for _, p := range b.peers {
		if p.isKcmd {
			return p.name
		}
	}
	return "kcmd"
}

// figureTable has a line for each figure.
func (b *bench) figureTable() table {
	t := table{b.header()}
	var done []string
	for _, f := range b.figures {
		if f.failure != nil {
			b.note(fmt.Sprintf("%s: %s: %v", f.Peer, f.What, f.failure))
		}
		if slices.Contains(done, f.What) {
			continue
		}
		done = append(done, f.What)
		row := []string{f.What}
		for _, name := range b.peerNames() {
			cell := "-"
			if f := b.figure(name, f.What); f != nil {
				cell = f.String()
			}
			row = append(row, cell)
		}
		t = append(t, row)
	}
	return t
}

func (b *bench) markTable() table {
	t := table{{"", "wanted", "measured", ""}}
	var missing []string
	for _, m := range b.marks() {
		verdict := map[bool]string{true: "met", false: "not met"}[m.Met]
		if m.Measured == "" {
			missing = append(missing, m.What)
			continue
		}
		t = append(t, []string{m.What, m.Wanted, m.Measured, verdict})
	}
	if len(missing) > 0 {
		b.note("Not measured: " + strings.Join(missing, "; ") + ".")
	}
	return t
}
