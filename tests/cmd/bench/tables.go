package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The tables of README.md, docs/comparison.md and docs/scale.md, to paste there. Times
// are those of the quietest turn, of one client on one processor.

// A column is a peer in a table.
type column struct{ title, peer string }

var comparedWith = []column{
	{"`FILE:`", "file"}, {"`DIR:`", "dir"}, {"`KEYRING:`", "keyring"}, {"`sssd_kcm`", "sssd"},
}

// shortWith are those in README.md.
var shortWith = slices.DeleteFunc(slices.Clone(comparedWith), func(c column) bool { return c.peer == "dir" })

// A compared row is a step.
type compared struct {
	title string
	c     circumstances
	step  string
	short bool // in README.md too
}

var comparedSteps = []compared{
	{"find one of 10 tickets", usual(10), "retrieve", true},
	{"find one of 300", usual(300), "retrieve", true},
	{"find one of 10,000", usual(10_000), "retrieve", false},
	{"list 10 tickets", usual(10), "iterate", false},
	{"list 10,000 tickets", usual(10_000), "iterate", true},
	{"list 10 caches", usual(10), "collection", false},
	{"store a ticket", usual(10), "store", true},
	{"`kinit`", withCaches(1), "kinit", true},
	{"`klist`", withCaches(1), "klist", true},
	{"`kvno` of a ticket in the cache", withCaches(1), "kvno", false},
	{"`klist -A` of 50 caches", withCaches(manyCaches), "klist-A", true},
}

// printTables prints all tables.
func (b *bench) printTables(w io.Writer) {
	readme, costs := b.comparisonTables()
	syncs, rates := b.clientTables()
	for _, t := range []struct {
		title string
		lines markdown
	}{
		{"README.md, kcmd beside others", readme},
		{"docs/comparison.md, microseconds", costs},
		{"docs/scale.md, stored users", b.storedTable()},
		{"docs/scale.md, fdatasync for each ticket stored", syncs},
		{"docs/scale.md, lookups a second", rates},
		{"docs/scale.md, memory at rest", b.memoryTable()},
		{"docs/scale.md, a quiet user", b.fairnessTable()},
	} {
		if len(t.lines) > 1 {
			fmt.Fprintf(w, "\n%s:\n\n%s", t.title, strings.Join(t.lines, ""))
		}
	}
}

// comparisonTables has kcmd beside others: ratios, and times.
func (b *bench) comparisonTables() (readme, costs markdown) {
	all := append([]column{{"kcmd", "kcmd-full"}, {"kcmd, `synchronous = \"normal\"`", "kcmd-normal"}}, comparedWith...)
	readme.head("", titles(shortWith))
	costs.head("", titles(all))
	for _, s := range comparedSteps {
		var gains, times []string
		for _, c := range all {
			times = append(times, b.timeCell(key{s.c, s.step, c.peer}))
		}
		for _, c := range shortWith {
			gains = append(gains, b.gain(key{s.c, s.step, "kcmd-full"}, key{s.c, s.step, c.peer}))
		}
		costs.row(s.title, times)
		if s.short {
			readme.row(s.title, gains)
		}
	}
	return readme, costs
}

// storedTable has the figures of the part scale.
func (b *bench) storedTable() (t markdown) {
	var heads []string
	for _, n := range b.options.stored {
		heads = append(heads, thousands(n)+" users")
	}
	t.head("", heads)
	for _, what := range []string{"database", firstAnswer, memoryThen, fmt.Sprintf("memory with %d active users", activeUsers)} {
		var cells []string
		for _, n := range b.options.stored {
			cells = append(cells, b.figureCell("kcmd-full", thousands(n)+" users: "+what))
		}
		t.row(what, cells)
	}
	return t
}

// clientTables has what many clients cost: waits for the disk, and lookups a second.
func (b *bench) clientTables() (syncs, rates markdown) {
	storing := []column{{"kcmd", "kcmd-full"}, {"`sssd_kcm`", "sssd"}}
	looking := []column{{"kcmd", "kcmd-full"}, {"recorded answers", "canned"}, {"`FILE:`", "file"}}
	syncs.head("clients", titles(storing))
	rates.head("clients", titles(looking))
	for _, n := range append([]int{1}, b.options.clients...) {
		c := usual(b.options.crowd)
		c.Clients = n
		var waits, rate []string
		for _, column := range storing {
			waits = append(waits, b.figureCell(column.peer, syncsWith(n)))
		}
		for _, column := range looking {
			rate = append(rate, b.rateCell(key{c, "retrieve", column.peer}))
		}
		syncs.row(strconv.Itoa(n), waits)
		rates.row(strconv.Itoa(n), rate)
	}
	return syncs, rates
}

// memoryTable has the figures of the part memory.
func (b *bench) memoryTable() (t markdown) {
	t.head("", []string{"kcmd"})
	for _, what := range []string{binarySize, startTime, idleMemory, userMemory, burstMemory} {
		t.row(what, []string{b.figureCell("kcmd-full", what)})
	}
	return t
}

// fairnessTable has the figures of the part fairness.
func (b *bench) fairnessTable() (t markdown) {
	t.head("", []string{"times as long", "own kcmd"})
	for _, others := range []string{besideClients, besideMoves} {
		for _, q := range quietQuantiles {
			what := quietBeside(others, q)
			title := strings.NewReplacer("RETRIEVE ", "", ", times as long", "").Replace(what)
			t.row(title, []string{b.figureCell("kcmd-full", what), b.figureCell("kcmd-full", what+ownServer)})
		}
	}
	return t
}

// markdown has the lines of a table; the first one is the head.
type markdown []string

func (t *markdown) head(title string, cells []string) {
	t.add(title, cells)
	(*t)[0] += "|" + strings.Repeat("---|", len(cells)+1) + "\n"
}

// row adds a line, unless nothing of it was measured.
func (t *markdown) row(title string, cells []string) {
	if slices.ContainsFunc(cells, func(c string) bool { return c != "-" }) {
		t.add(title, cells)
	}
}

func (t *markdown) add(title string, cells []string) {
	*t = append(*t, "| "+strings.Join(append([]string{title}, cells...), " | ")+" |\n")
}

func titles(list []column) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.title)
	}
	return names
}

func (b *bench) timeCell(k key) string {
	if d, ok := b.results.quietest(k); ok {
		return micros(d)
	}
	return "-"
}

func (b *bench) figureCell(peer, what string) string {
	if f := b.figure(peer, what); f != nil && f.failure == nil {
		return f.String()
	}
	return "-"
}

func (b *bench) rateCell(k key) string {
	if r := b.results.find(k); r != nil && r.Rate > 0 {
		return thousands(int(r.Rate))
	}
	return "-"
}

// gain says how quick ours is beside theirs.
func (b *bench) gain(ours, theirs key) string {
	x, ok := b.results.quietest(ours)
	y, ok2 := b.results.quietest(theirs)
	const alike = 1.1
	switch ratio := float64(y) / float64(x); {
	case !ok || !ok2:
		return "-"
	case ratio >= alike:
		return digits(ratio) + " times as quick"
	case ratio <= 1/alike:
		return "takes " + digits(1/ratio) + " times as long"
	}
	return "alike"
}
