package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// String says in words what the circumstances are.
func (c circumstances) String() string {
	var s strings.Builder
	if c.By == byCommands {
		return fmt.Sprintf("whole commands, %s services", thousands(c.Tickets))
	}
	if c.By == byFrames {
		s.WriteString("frames, ")
	}
	fmt.Fprintf(&s, "%s tickets of %s", thousands(c.Tickets), bytesText(int64(c.Bytes)))
	if c.Clients > 1 {
		fmt.Fprintf(&s, ", %d clients at once", c.Clients)
	}
	if c.Users > 0 {
		fmt.Fprintf(&s, ", %s other users", thousands(c.Users))
	}
	return s.String()
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// micros writes a duration as microseconds, with three digits that count.
func micros(d time.Duration) string {
	us := float64(d) / 1000
	switch {
	case us < 10:
		return strconv.FormatFloat(us, 'f', 2, 64)
	case us < 100:
		return strconv.FormatFloat(us, 'f', 1, 64)
	}
	return thousands(int(us + 0.5))
}

// ratio writes how many times b goes into a.
func ratio(a, b time.Duration) string {
	x := float64(a) / float64(b)
	switch {
	case x >= 100:
		return thousands(int(x+0.5)) + "x"
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 0, 64) + "x"
	case x >= 0.1:
		return strconv.FormatFloat(x, 'f', 2, 64) + "x"
	}
	return strconv.FormatFloat(x, 'g', 2, 64) + "x"
}

// begin says that a part begins, where progress does not.
func (b *bench) begin(part string) {
	if !atTerminal() {
		fmt.Fprintf(os.Stderr, "tests/bench: %s\n", part)
	}
}

// progress says on the terminal what is being done; "" clears it.
func (b *bench) progress(what string) {
	if atTerminal() {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", what)
	}
}

// atTerminal tells whether somebody watches.
func atTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return err == nil
}

// A table is printed with its columns as wide as they must be.
type table [][]string

func (t table) print(w io.Writer) {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range t {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			switch {
			case i == 0:
				line.WriteString(cell + pad)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// report prints everything that was measured.
func (b *bench) report(w io.Writer) {
	for _, p := range b.peers {
		if p.failure != nil {
			fmt.Fprintf(w, "%s: %v\n", p.name, p.failure)
		}
	}
	b.reportResults(w)
	b.reportMemory(w)
	b.reportSyncs(w)
	b.reportAllocations(w)
	b.reportScale(w)
	b.reportGrowth(w)
	b.reportMarks(w)
}

// reportResults prints a table for each circumstance: a line for the medians and
// 99th percentiles of a step, and a line for how kcmd compares.
func (b *bench) reportResults(w io.Writer) {
	for i, r := range b.results.list {
		if i > 0 && b.results.list[i-1].circumstances == r.circumstances {
			continue
		}
		fmt.Fprintf(w, "\n%s (us, median/99th percentile)\n", r.circumstances)
		notes := b.scenesTable(w, r.circumstances)
		for _, n := range notes {
			fmt.Fprintln(w, n)
		}
	}
}

func (b *bench) scenesTable(w io.Writer, c circumstances) (notes []string) {
	header := []string{""}
	for _, p := range b.peers {
		header = append(header, p.name)
	}
	t := table{header}
	said := make(map[string]bool)
	for _, step := range b.results.stepsOf(c) {
		times, echo, ours := []string{step}, []string{"  of the echo"}, []string{"  " + b.reference() + " is"}
		for _, p := range b.peers {
			r := b.results.first(c, step, p.name)
			if r == nil {
				times, echo, ours = append(times, ""), append(echo, ""), append(ours, "")
				continue
			}
			if len(r.Took) == 0 {
				times, echo, ours = append(times, failureWord(r.Failure)), append(echo, ""), append(ours, "")
			} else {
				times = append(times, micros(r.Took.median())+"/"+micros(r.Took.quantile(0.99)))
				echo = append(echo, b.ratioTo(r, "echo", false))
				ours = append(ours, b.ratioTo(r, b.reference(), true))
			}
			if note := r.note(); note != "" && !said[p.name+note] {
				said[p.name+note] = true
				notes = append(notes, p.name+": "+note)
			}
		}
		t = append(t, times)
		if b.peer("echo") != nil && c.By != byCommands {
			t = append(t, echo)
		}
		t = append(t, ours)
	}
	t.print(w)
	return notes
}

// failureWord is a short form of a failure, for a table.
func failureWord(err error) string {
	switch {
	case errors.Is(err, errNot):
		return "-"
	case errors.Is(err, errSlow):
		return "too slow"
	}
	return "fails"
}

// ratioTo compares with a peer: how many times it takes what that takes, or if
// inverse the other way round.
func (b *bench) ratioTo(r *result, peer string, inverse bool) string {
	other, ok := b.results.quiet(r.circumstances, r.Step, peer)
	if !ok || other == 0 || r.quiet() == 0 {
		return ""
	}
	if inverse {
		return ratio(other, r.quiet())
	}
	return ratio(r.quiet(), other)
}

// reference is the name of the kcmd that others are compared with.
func (b *bench) reference() string {
	for _, p := range b.peers {
		if p.isKcmd {
			return p.name
		}
	}
	return "kcmd"
}
