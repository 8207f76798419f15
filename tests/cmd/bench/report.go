package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// String describes the circumstances.
func (c circumstances) String() string {
	if c.Commands {
		return fmt.Sprintf("whole commands, %s services", thousands(c.Tickets))
	}
	s := fmt.Sprintf("%s tickets of %s", thousands(c.Tickets), bytesText(int64(c.Bytes)))
	if c.Clients > 1 {
		s += fmt.Sprintf(", %d clients at once", c.Clients)
	}
	if c.Users > 0 {
		s += fmt.Sprintf(", %s other users", thousands(c.Users))
	}
	return s
}

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

func ratio(a, b time.Duration) string { return digits(float64(a)/float64(b)) + "x" }

// middle is the median, "-" without measurements.
func middle(s series) string {
	if len(s) == 0 {
		return "-"
	}
	if m := s.median(); m >= 10*time.Millisecond {
		return fmt.Sprintf("%.0f ms", m.Seconds()*1000)
	}
	return micros(s.median()) + " us"
}

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
			b.stepTable(r.circumstances).print(w, r.circumstances.String()+" (us, median/99th percentile)")
		}
	}
	b.memoryTable().print(w, "Memory of the servers (resident)")
	b.syncTable().print(w, "Waits for the disk, for each stored ticket (under strace, without times)")
	b.scaleTable().print(w, fmt.Sprintf("Many users, %d tickets each (medians)", ticketsEach))
	b.growthTable().print(w, "What grows with what (resident memory, with garbage)")
	b.markTable().print(w, "The marks")
	for _, p := range b.peers {
		if p.failure != nil {
			b.note(fmt.Sprintf("%s: %v", p.name, p.failure))
		}
	}
	for _, line := range b.notes {
		fmt.Fprintln(w, line)
	}
}

// stepTable has for each step a line of times, and lines of ratios to the echo and
// of kcmd to each peer.
func (b *bench) stepTable(c circumstances) table {
	header := []string{""}
	for _, p := range b.peers {
		header = append(header, p.name)
	}
	t := table{header}
	var done []string
	for _, r := range b.results {
		if r.circumstances != c || slices.Contains(done, r.Step) {
			continue
		}
		done = append(done, r.Step)
		times, echo, ours := []string{r.Step}, []string{"  of the echo"}, []string{"  " + b.reference() + " is"}
		for _, p := range b.peers {
			r := b.results.find(key{c, r.Step, p.name})
			times, echo, ours = append(times, b.timesOf(r)), append(echo, b.ratioTo(r, "echo", false)), append(ours, b.ratioTo(r, b.reference(), true))
		}
		t = append(t, times)
		if b.peer("echo") != nil && !c.Commands {
			t = append(t, echo)
		}
		t = append(t, ours)
	}
	return t
}

// timesOf returns the cell of a result, and notes its failure.
func (b *bench) timesOf(r *result) string {
	err := r.Failure.error
	if err != nil && !errors.Is(err, errNot) {
		b.note(fmt.Sprintf("%s: %v", r.Peer, err))
	}
	switch {
	case len(r.Took) > 0:
		return micros(r.Took.median()) + "/" + micros(r.Took.quantile(0.99))
	case errors.Is(err, errSlow):
		return "too slow"
	case err == nil || errors.Is(err, errNot):
		return "-"
	}
	return "fails"
}

// ratioTo returns the ratio of a result to that of a peer, or the inverse.
func (b *bench) ratioTo(r *result, peer string, inverse bool) string {
	other, ok := b.results.quietest(key{r.circumstances, r.Step, peer})
	if !ok || other == 0 || len(r.Turns) == 0 {
		return ""
	}
	if inverse {
		return ratio(other, r.quietest())
	}
	return ratio(r.quietest(), other)
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

// memoryTable has the memory after the last step of each circumstances.
func (b *bench) memoryTable() table {
	t := table{{"after", "server", "memory"}}
	for i, r := range b.results {
		last := !slices.ContainsFunc(b.results[i+1:], func(o *result) bool { return o.circumstances == r.circumstances && o.Peer == r.Peer })
		if last && r.Memory > 0 && r.Peer != "echo" {
			t = append(t, []string{r.circumstances.String(), r.Peer, bytesText(r.Memory)})
		}
	}
	return t
}

func (b *bench) syncTable() table {
	t := table{{"clients", "server", "stores", "fdatasync", "commits"}}
	for _, r := range b.syncResults {
		row := []string{strconv.Itoa(r.Clients), r.Peer, strconv.Itoa(r.Stores)}
		if r.Failure.error != nil {
			row = append(row, "fails: "+r.Failure.Error())
		} else {
			for _, n := range []int{r.Syncs, r.Commits} {
				row = append(row, strconv.FormatFloat(float64(n)/float64(r.Stores), 'f', 2, 64))
			}
		}
		t = append(t, row)
	}
	return t
}

func (b *bench) scaleTable() table {
	t := table{{""}, {"database"}, {"start to first answer"}, {"memory after that"}, {fmt.Sprintf("memory with %d active users", activeUsers)},
		{"finding expired caches"}, {"retrieve of one user"}, {"store of one user"},
		{"on a bus: start to first answer"}, {"on a bus: memory after that"}, {"on a bus: GetManagedObjects by busctl"},
		{"on a bus: Ping by busctl"}, {"on a bus: ListCollections of root by busctl"}, {"on a bus: memory after that"}}
	for _, r := range b.scaleResults {
		for i, cell := range []string{fmt.Sprintf("%s, %s users", r.Peer, thousands(r.Users)),
			bytesText(r.File), middle(r.Start), bytesText(r.Memory), bytesText(r.Active),
			middle(r.Due), middle(r.Retrieve), middle(r.Store),
			middle(r.BusStart), bytesText(r.BusMemory), middle(r.Objects),
			middle(r.Ping), middle(r.Listed), bytesText(r.ListedMemory)} {
			t[i] = append(t[i], cell)
		}
		if r.Failure.error != nil {
			b.note(fmt.Sprintf("%s, %s users: %v", r.Peer, thousands(r.Users), r.Failure))
		}
	}
	if len(b.scaleResults) == 0 {
		return nil
	}
	return t
}

func (b *bench) growthTable() table {
	t := table{{"", "server", "number", "before", "after", "for each"}}
	for _, r := range b.growthResults {
		row := []string{r.What, r.Peer, thousands(r.Number), bytesText(r.Before), bytesText(r.After), bytesText(max(r.After-r.Before, 0) / int64(r.Number))}
		if r.Failure.error != nil {
			row = []string{r.What, r.Peer, "fails: " + r.Failure.Error()}
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

// writeJSON writes all figures. Times are in microseconds.
func (b *bench) writeJSON(path string) error {
	var name unix.Utsname
	_ = unix.Uname(&name) // only to identify the machine
	text, err := json.MarshalIndent(map[string]any{
		"machine": map[string]any{
			"processors": runtime.NumCPU(), "kernel": unix.ByteSliceToString(name.Release[:]),
			"go": runtime.Version(), "time": time.Now().UTC(),
		},
		"peers": b.peerNames(), "results": b.results, "syncs": b.syncResults,
		"scale": b.scaleResults, "growth": b.growthResults, "marks": b.marks(), "notes": b.notes,
	}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write the figures: %w", err)
	}
	return nil
}
