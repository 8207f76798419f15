package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A mark is a figure that kcmd has to reach: a ratio of two results, a count, or
// a size.
type mark struct {
	What     string `json:"what"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured,omitempty"` // "" if not
	Met      bool   `json:"met"`
}

// ratioMark is a mark for the ratio of two results.
func (b *bench) ratioMark(what string, limit float64, than string, x, y key) mark {
	m := mark{What: what, Wanted: fmt.Sprintf("at most %g x %s", limit, than)}
	a, ok := b.results.quietest(x)
	c, ok2 := b.results.quietest(y)
	if !ok || !ok2 || c == 0 {
		return m
	}
	m.Measured = fmt.Sprintf("%s (%s and %s us)", ratio(a, c), micros(a), micros(c))
	m.Met = float64(a) <= limit*float64(c)
	return m
}

// marks are those of this run.
func (b *bench) marks() []mark {
	few, many, crowd := b.options.tickets[0], b.options.tickets[len(b.options.tickets)-1], b.options.crowdTickets()
	ours, one := b.reference(), usual(crowd)
	eight := one
	eight.Clients = 8
	list := []mark{
		b.ratioMark("RETRIEVE", 1.5, "the echo", key{one, "retrieve", ours}, key{one, "retrieve", "echo"}),
		b.ratioMark("RETRIEVE of a missing ticket", 1.2, "a hit", key{one, "miss", ours}, key{one, "retrieve", ours}),
	}
	if few != many {
		list = append(list, b.ratioMark(fmt.Sprintf("RETRIEVE with %s tickets", thousands(many)), 1.3,
			fmt.Sprintf("with %s", thousands(few)), key{usual(many), "retrieve", ours}, key{usual(few), "retrieve", ours}))
	}
	list = append(list, b.storeMarks(few, many, crowd)...)
	list = append(list,
		b.ratioMark("iterate", 1, "FILE", key{one, "iterate", ours}, key{one, "iterate", "file"}),
		b.ratioMark("RETRIEVE, 8 clients at once", 8, "one client", key{eight, "retrieve", ours}, key{one, "retrieve", ours}),
		b.memoryMark(eight, ours))
	return append(list, b.scaleMarks()...)
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
		b.syncMark(),
		b.ratioMark("STORE, normal", 5, "the echo", key{usual(crowd), "store", "kcmd-normal"}, key{usual(crowd), "store", "echo"}),
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

// syncMark is for the waits for the disk.
func (b *bench) syncMark() mark {
	m := mark{What: "STORE, full, one client", Wanted: "at most 1 fdatasync each"}
	for _, r := range b.syncResults {
		if r.Peer == "kcmd-full" && r.Clients == 1 && r.Failure.error == nil {
			each := float64(r.Syncs) / float64(r.Stores)
			m.Measured, m.Met = strconv.FormatFloat(each, 'f', 2, 64), each <= 1.01
		}
	}
	return m
}

const memoryLimit = 64 << 20

func (b *bench) memoryMark(c circumstances, peer string) mark {
	m := mark{What: "memory with 8 clients at once", Wanted: "under 64 MiB"}
	for _, r := range b.results {
		if r.circumstances == c && r.Peer == peer && r.Memory > 0 {
			m.Measured, m.Met = bytesText(r.Memory), r.Memory < memoryLimit
		}
	}
	return m
}

func (b *bench) scaleMarks() []mark {
	start := mark{What: "10,000 users x 10 tickets: start to first answer", Wanted: "under 100 ms"}
	memory := mark{What: "10,000 users x 10 tickets: memory", Wanted: "under 64 MiB"}
	for _, r := range b.scaleResults {
		if r.Users == 10_000 && r.Peer == "kcmd-full" && len(r.Start) > 0 {
			start.Measured, start.Met = middle(r.Start), r.Start.median() < 100*time.Millisecond
			memory.Measured, memory.Met = bytesText(r.Memory), r.Memory < memoryLimit
		}
	}
	return []mark{start, memory}
}
