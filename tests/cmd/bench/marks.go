package main

import (
	"fmt"
	"strings"
)

// A mark is a figure that kcmd has to reach: a ratio of two results, a count, or
// a size.
type mark struct {
	What     string
	Wanted   string
	Measured string // "" if not
	Met      bool
}

// ratioMark is a mark for the ratio of two results.
func (b *bench) ratioMark(what string, limit float64, than string, x, y key) mark {
	m := mark{What: what, Wanted: fmt.Sprintf("at most %g x %s", limit, than)}
	if ratio := b.ratio(x, y); ratio != "" {
		a, _ := b.results.quietest(x)
		c, _ := b.results.quietest(y)
		m.Measured = fmt.Sprintf("%s (%s and %s us)", ratio, micros(a), micros(c))
		m.Met = float64(a) <= limit*float64(c)
	}
	return m
}

// figureMark is a mark for a figure.
func (b *bench) figureMark(what, wanted string, limit float64, peer, measured string) mark {
	m := mark{What: what, Wanted: wanted}
	if f := b.figure(peer, measured); f != nil && f.failure == nil {
		m.Measured, m.Met = f.String(), f.Value <= limit
	}
	return m
}

const memoryLimit = 64 << 20

// marks are those of this run.
func (b *bench) marks() []mark {
	few, many, crowd := b.options.tickets[0], b.options.tickets[len(b.options.tickets)-1], b.options.crowd
	ours, one := b.reference(), usual(crowd)
	eight := one
	eight.Clients = 8
	var list []mark
	for _, m := range []struct {
		what, step string
		c          circumstances
		limit      float64
	}{
		{"RETRIEVE", "retrieve", one, 1.4},
		{"RETRIEVE of a missing ticket", "miss", one, 1.3},
		{"GET_PRINCIPAL", "principal", one, 1.3},
		{"iterate", "iterate", one, 1.15},
		{"klist", "klist", withCaches(1), 1.15},
		{"klist -A of 50 caches", "klist-A", withCaches(manyCaches), 1.15},
	} {
		list = append(list, b.ratioMark(m.what, m.limit, "canned", key{m.c, m.step, ours}, key{m.c, m.step, "canned"}))
	}
	kinit := func(peer string) key { return key{withCaches(1), "kinit", peer} }
	list = append(list,
		b.ratioMark("kinit, full", 1.15, "FILE", kinit("kcmd-full"), kinit("file")),
		b.ratioMark("kinit, normal", 1.05, "FILE", kinit("kcmd-normal"), kinit("file")))
	if few != many {
		list = append(list, b.ratioMark(fmt.Sprintf("RETRIEVE with %s tickets", thousands(many)), 1.3,
			fmt.Sprintf("with %s", thousands(few)), key{usual(many), "retrieve", ours}, key{usual(few), "retrieve", ours}))
	}
	list = append(list, b.storeMarks(few, many, crowd)...)
	list = append(list,
		b.ratioMark("iterate", 1, "FILE", key{one, "iterate", ours}, key{one, "iterate", "file"}),
		b.ratioMark("RETRIEVE, 8 clients at once", 8, "one client", key{eight, "retrieve", ours}, key{one, "retrieve", ours}),
		b.figureMark("memory with 8 clients at once", "at most 64 MiB", memoryLimit, ours, memoryWith(eight)),
		b.figureMark("10,000 users x 10 tickets: start", "at most 100 ms", 100_000, "kcmd-full", "10,000 users: "+firstAnswer),
		b.figureMark("10,000 users x 10 tickets: memory", "at most 64 MiB", memoryLimit, "kcmd-full", "10,000 users: "+memoryThen),
		b.figureMark(idleMemory, "at most 12 MiB", 12<<20, "kcmd-full", idleMemory),
		b.figureMark(userMemory, "at most 19 KiB", 19<<10, "kcmd-full", userMemory))
	return list
}

func (b *bench) storeMarks(few, many, crowd int) []mark {
	common := usual(crowd)
	// sssd_kcm may be too slow to fill a larger cache.
	if _, ok := b.results.quietest(key{common, "store", "sssd"}); !ok {
		common = usual(few)
	}
	list := []mark{
		b.ratioMark(fmt.Sprintf("STORE, full, %s tickets", thousands(common.Tickets)), 0.1, "sssd_kcm",
			key{common, "store", "kcmd-full"}, key{common, "store", "sssd"}),
		b.figureMark("STORE, full, one client", "at most 1 fdatasync each", 1.01, "kcmd-full", syncsWith(1)),
		b.ratioMark("STORE, normal", 9, "the echo", key{usual(crowd), "store", "kcmd-normal"}, key{usual(crowd), "store", "echo"}),
	}
	for _, peer := range []string{"kcmd-full", "kcmd-normal"} {
		mode := strings.TrimPrefix(peer, "kcmd-")
		if few != many {
			list = append(list, b.ratioMark(fmt.Sprintf("STORE, %s, with %s tickets", mode, thousands(many)), 1.3,
				fmt.Sprintf("with %s", thousands(few)), key{usual(many), "store", peer}, key{usual(few), "store", peer}))
		}
		for _, users := range b.options.users {
			c := usual(few)
			c.Users = users
			list = append(list, b.ratioMark(fmt.Sprintf("STORE, %s, with %s other users", mode, thousands(users)), 1.3,
				"with none", key{c, "store", peer}, key{usual(few), "store", peer}))
		}
	}
	return list
}
