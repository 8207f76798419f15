package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A mark is something that kcmd is to reach. It is always a ratio of two things
// that were measured side by side, but for what is counted.
type mark struct {
	What     string
	Wanted   string
	Measured string // "" if it was not
	Met      bool
}

// atMost is a mark for a ratio.
func (b *bench) atMost(what string, limit float64, of string, a, of2 func() (time.Duration, bool)) mark {
	m := mark{What: what, Wanted: fmt.Sprintf("at most %g x %s", limit, of)}
	x, ok := a()
	y, ok2 := of2()
	if !ok || !ok2 || y == 0 {
		return m
	}
	m.Measured = fmt.Sprintf("%s (%s and %s us)", ratio(x, y), micros(x), micros(y))
	m.Met = float64(x) <= limit*float64(y)
	return m
}

// marks are those of this run.
func (b *bench) marks() []mark {
	o := b.options
	ours := b.reference()
	at := func(c circumstances, step, peer string) func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return b.results.quiet(c, step, peer) }
	}
	calls := func(tickets int) circumstances { return circumstances{byCalls, tickets, usualSize, 1, 0} }
	frames := func(tickets int) circumstances { return circumstances{byFrames, tickets, usualSize, 1, 0} }
	few, many, usual := o.tickets[0], o.tickets[len(o.tickets)-1], o.crowd()

	list := []mark{
		b.atMost("RETRIEVE by libkrb5", 1.5, "the echo", at(calls(usual), "retrieve", ours), at(calls(usual), "retrieve", "echo")),
		b.atMost("RETRIEVE by frames", 1.5, "the echo", at(frames(usual), "retrieve", ours), at(frames(usual), "retrieve", "echo")),
		b.atMost("RETRIEVE of what is not there", 1.2, "a hit", at(calls(usual), "miss", ours), at(calls(usual), "retrieve", ours)),
	}
	if few != many {
		growth := fmt.Sprintf("with %s tickets", thousands(few))
		list = append(list,
			b.atMost(fmt.Sprintf("RETRIEVE by libkrb5 with %s tickets", thousands(many)), 1.3, growth, at(calls(many), "retrieve", ours), at(calls(few), "retrieve", ours)),
			b.atMost(fmt.Sprintf("RETRIEVE by frames with %s tickets", thousands(many)), 1.3, growth, at(frames(many), "retrieve", ours), at(frames(few), "retrieve", ours)),
		)
	}
	list = append(list, b.storeMarks(calls, few, many, usual)...)
	list = append(list, b.atMost("iterate", 1, "FILE", at(calls(usual), "iterate", ours), at(calls(usual), "iterate", "file")))
	list = append(list, b.crowdMarks(usual)...)
	return append(list, b.scaleMarks()...)
}

// storeMarks are those for storing.
func (b *bench) storeMarks(calls func(int) circumstances, few, many, usual int) []mark {
	at := func(c circumstances, peer string) func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return b.results.quiet(c, "store", peer) }
	}
	// sssd_kcm may be too slow for more.
	common := usual
	if _, ok := b.results.quiet(calls(usual), "store", "sssd"); !ok {
		common = few
	}
	list := []mark{
		b.atMost(fmt.Sprintf("STORE, full, %s tickets", thousands(common)), 0.1, "sssd_kcm", at(calls(common), "kcmd-full"), at(calls(common), "sssd")),
		b.syncMark(),
		b.atMost("STORE, normal", 5, "the echo", at(calls(usual), "kcmd-normal"), at(calls(usual), "echo")),
	}
	for _, peer := range []string{"kcmd-full", "kcmd-normal"} {
		if few != many {
			list = append(list, b.atMost(fmt.Sprintf("STORE, %s, with %s tickets", peer[len("kcmd-"):], thousands(many)), 1.3,
				fmt.Sprintf("with %s tickets", thousands(few)), at(calls(many), peer), at(calls(few), peer)))
		}
		for _, users := range b.options.users {
			c := calls(few)
			c.Users = users
			list = append(list, b.atMost(fmt.Sprintf("STORE, %s, with %s other users", peer[len("kcmd-"):], thousands(users)), 1.3,
				"with none", at(c, peer), at(calls(few), peer)))
		}
	}
	return list
}

// syncMark is how often storing waits for the disk.
func (b *bench) syncMark() mark {
	m := mark{What: "STORE, full, one client", Wanted: "at most 1 fdatasync each"}
	for _, r := range b.syncResults {
		if r.Peer == "kcmd-full" && r.Clients == 1 && r.Failure == nil {
			each := float64(r.Syncs) / float64(r.Stores)
			m.Measured, m.Met = strconv.FormatFloat(each, 'f', 2, 64), each <= 1.01
		}
	}
	return m
}

// crowdMarks are those for eight clients at once.
func (b *bench) crowdMarks(tickets int) []mark {
	ours := b.reference()
	one := circumstances{byCalls, tickets, usualSize, 1, 0}
	eight := circumstances{byCalls, tickets, usualSize, 8, 0}
	at := func(c circumstances) func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return b.results.quiet(c, "retrieve", ours) }
	}
	memory := mark{What: "memory after that", Wanted: "under 64 MiB"}
	for _, m := range b.memory {
		if m.circumstances == eight && m.Peer == ours {
			memory.Measured, memory.Met = bytesText(m.now), m.now < 64<<20
		}
	}
	return []mark{b.atMost("RETRIEVE, 8 clients at once", 8, "one client", at(eight), at(one)), memory}
}

// scaleMarks are those for many users.
func (b *bench) scaleMarks() []mark {
	start := mark{What: "10,000 users x 10 tickets: start to first answer", Wanted: "under 100 ms"}
	memory := mark{What: "10,000 users x 10 tickets: memory", Wanted: "under 64 MiB"}
	for _, r := range b.scaleResults {
		if r.Users != 10_000 || r.Peer != "kcmd-full" || len(r.Start) == 0 {
			continue
		}
		start.Measured, start.Met = middle(r.Start), r.Start.median() < 100*time.Millisecond
		memory.Measured, memory.Met = bytesText(r.Memory), r.Memory < 64<<20
	}
	return []mark{start, memory}
}

func (b *bench) reportMarks(w io.Writer) {
	fmt.Fprintf(w, "\nThe marks\n")
	t := table{{"", "wanted", "measured", ""}}
	var missing []string
	for _, m := range b.marks() {
		verdict := "not met"
		switch {
		case m.Measured == "":
			missing = append(missing, m.What)
			continue
		case m.Met:
			verdict = "met"
		}
		t = append(t, []string{m.What, m.Wanted, m.Measured, verdict})
	}
	if len(t) > 1 {
		t.print(w)
	}
	if len(missing) > 0 {
		fmt.Fprintf(w, "Not measured: %s.\n", strings.Join(missing, "; "))
	}
}
