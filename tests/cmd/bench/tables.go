package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The tables of README.md, docs/comparison.md and docs/scale.md, to paste there. Times
// are those of the quietest turn, of one client on one processor.

// A column of a table is a peer, or a part of the name of a figure: what is before and
// after that of the row.
type column struct{ title, peer, before, after string }

// A row is a result of each peer.
type row struct {
	title string
	c     circumstances
	what  string
}

var (
	ours         = column{title: "kcmd", peer: "kcmd-full"}
	sssd         = column{title: "`sssd_kcm`", peer: "sssd"}
	file         = column{title: "`FILE:`", peer: "file"}
	keyring      = column{title: "`KEYRING:`", peer: "keyring"}
	inREADME     = []column{file, keyring, sssd}
	inComparison = []column{ours, {title: "kcmd, `synchronous = \"normal\"`", peer: "kcmd-normal"}, file, {title: "`DIR:`", peer: "dir"}, keyring, sssd}
)

var compared = []row{
	{"find one of 10 tickets", usual(10), "retrieve"},
	{"find one of 300", usual(300), "retrieve"},
	{"find one of 10,000", usual(10_000), "retrieve"},
	{"list 10 tickets", usual(10), "iterate"},
	{"list 10,000 tickets", usual(10_000), "iterate"},
	{"list 10 caches", usual(10), "collection"},
	{"store a ticket", usual(10), "store"},
	{"`kinit`", withCaches(1), "kinit"},
	{"`klist`", withCaches(1), "klist"},
	{"`kvno` of a ticket in the cache", withCaches(1), "kvno"},
	{"`klist -A` of 50 caches", withCaches(manyCaches), "klist-A"},
}

// comparedInREADME are the numbers of those in README.md.
var comparedInREADME = []int{0, 1, 4, 6, 7, 8, 10}

// printTables prints all tables.
func (b *bench) printTables(w io.Writer) {
	var short, syncs, rates, stored, memory, fair []row
	for _, i := range comparedInREADME {
		short = append(short, compared[i])
	}
	for _, n := range append([]int{1}, b.options.clients...) {
		syncs = append(syncs, row{title: strconv.Itoa(n), what: syncsWith(n)})
		rates = append(rates, row{strconv.Itoa(n), usual(b.options.crowd).atOnce(n), "retrieve"})
	}
	for _, what := range []string{"database", firstAnswer, memoryThen, memoryActive} {
		stored = append(stored, row{title: what, what: what})
	}
	for _, what := range []string{binarySize, startTime, idleMemory, userMemory, burstMemory} {
		memory = append(memory, row{title: what, what: what})
	}
	for _, who := range []string{besideClients, besideMoves} {
		for _, q := range quietQuantiles {
			what := quietBeside(who, q)
			fair = append(fair, row{title: strings.NewReplacer("RETRIEVE ", "", ", times as long", "").Replace(what), what: what})
		}
	}
	var users []column
	for _, n := range b.options.stored {
		users = append(users, column{thousands(n) + " users", "kcmd-full", thousands(n) + " users: ", ""})
	}
	b.printTable(w, "README.md, kcmd beside others", "", inREADME, short, b.gain)
	b.printTable(w, "docs/comparison.md, microseconds", "", inComparison, compared, value)
	b.printTable(w, "docs/scale.md, stored users", "", users, stored, value)
	b.printTable(w, "docs/scale.md, fdatasync for each ticket stored", "clients", []column{ours, sssd}, syncs, value)
	b.printTable(w, "docs/scale.md, lookups a second", "clients", []column{ours, {title: "recorded answers", peer: "canned"}, file}, rates, rate)
	b.printTable(w, "docs/scale.md, memory at rest", "", []column{ours}, memory, value)
	b.printTable(w, "docs/scale.md, a quiet user", "", []column{{"times as long", "kcmd-full", "", ""}, {"own kcmd", "kcmd-full", "", ownServer}}, fair, value)
}

// printTable prints a table with the rows of which something was measured.
func (b *bench) printTable(w io.Writer, title, head string, columns []column, rows []row, cell func(*result) string) {
	line := func(words []string) string { return "| " + strings.Join(words, " | ") + " |\n" }
	heads := []string{head}
	for _, c := range columns {
		heads = append(heads, c.title)
	}
	text := "\n" + title + ":\n\n" + line(heads) + "|" + strings.Repeat("---|", len(heads)) + "\n"
	for _, r := range rows {
		cells := []string{r.title}
		for _, c := range columns {
			text := "-"
			if found := b.results.find(key{r.c, c.before + r.what + c.after, c.peer}); found.value() != 0 {
				text = cell(found)
			}
			cells = append(cells, text)
		}
		if slices.ContainsFunc(cells[1:], func(c string) bool { return c != "-" }) {
			fmt.Fprint(w, text, line(cells))
			text = ""
		}
	}
}

// value is the cell of a time or a figure.
func value(r *result) string {
	if len(r.Turns) > 0 {
		return digits(r.value())
	}
	return r.String()
}

func rate(r *result) string {
	if r.Rate == 0 {
		return "-"
	}
	return thousands(int(r.Rate))
}

// gain says how quick kcmd is beside a peer.
func (b *bench) gain(theirs *result) string {
	const alike = 1.1
	switch ratio := theirs.value() / b.results.find(key{theirs.circumstances, theirs.What, "kcmd-full"}).value(); {
	case math.IsInf(ratio, 0):
		return "-"
	case ratio >= alike:
		return digits(ratio) + " times as quick"
	case ratio <= 1/alike:
		return "takes " + digits(1/ratio) + " times as long"
	}
	return "alike"
}
