package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// progress shows on a terminal what is measured. "" clears the line.
func (b *bench) progress(what string) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", what)
	}
}

// note keeps a line for the end of the report.
func (b *bench) note(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(b.notes, line) {
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

// report prints all results and the marks.
func (b *bench) report(w io.Writer) {
	var figures circumstances
	var all []circumstances
	for _, r := range b.results {
		if r.circumstances != figures && !slices.Contains(all, r.circumstances) {
			all = append(all, r.circumstances)
		}
	}
	for _, c := range all {
		b.table(c).print(w, c.String()+" (us: on one processor; median/99th percentile on any)")
	}
	b.table(figures).print(w, fmt.Sprintf("Other figures (times are medians; stored users have %d tickets each)", ticketsEach))
	b.markTable().print(w, "The marks")
	for _, p := range b.peers {
		if p.failure != nil {
			b.note("%s: %v", p.name, p.failure)
		}
	}
	for _, line := range b.notes {
		fmt.Fprintln(w, line)
	}
	if b.options.tables {
		b.printTables(w)
	}
}

// table has a line for each step or figure. Of a step, further lines say what kcmd's times
// are of each peer's, and what all clients together do in a second.
func (b *bench) table(c circumstances) table {
	t := table{append([]string{""}, b.peerNames()...)}
	var done []string
	for _, r := range b.results {
		if r.circumstances != c {
			continue
		}
		b.noteFailure(r)
		if slices.Contains(done, r.What) {
			continue
		}
		done = append(done, r.What)
		times, ours, rates := []string{r.What}, []string{"  " + b.reference() + " is"}, []string{"  a second"}
		for _, name := range b.peerNames() {
			k, our := key{c, r.What, name}, key{c, r.What, b.reference()}
			times = append(times, b.results.find(k).String())
			ours = append(ours, b.ratio(our, k))
			rates = append(rates, b.rates(our, k))
		}
		t = append(t, times)
		if c != (circumstances{}) {
			t = append(t, ours)
		}
		if c.Clients > 1 && strings.Join(rates[1:], "") != "" {
			t = append(t, rates)
		}
	}
	return t
}

func (b *bench) noteFailure(r *result) {
	switch {
	case r.failure == nil:
	case r.circumstances == circumstances{}:
		b.note("%s: %s: %v", r.Peer, r.What, r.failure)
	case !errors.Is(r.failure, errNot):
		b.note("%s: %v", r.Peer, r.failure)
	}
}

// rates returns how often a second all clients together do a step, and what kcmd does of
// that.
func (b *bench) rates(ours, theirs key) string {
	x, y := b.results.find(ours), b.results.find(theirs)
	if x == nil || y == nil || x.Rate == 0 || y.Rate == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%sx)", thousands(int(y.Rate)), digits(x.Rate/y.Rate))
}

// ratio returns the ratio of two results, "" without one of them.
func (b *bench) ratio(x, y key) string {
	a, c := b.results.find(x).value(), b.results.find(y).value()
	if a == 0 || c == 0 {
		return ""
	}
	return digits(a/c) + "x"
}

// reference is the kcmd to compare other peers with.
func (b *bench) reference() string {
	for _, p := range b.peers {
		if p.isKcmd() {
			return p.name
		}
	}
	return "kcmd"
}
