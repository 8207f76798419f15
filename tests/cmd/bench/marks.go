package main

import (
	"cmp"
	"fmt"
	"strings"
)

// A mark is what kcmd has to reach: a limit for the ratio of two results, or for a figure.
type mark struct {
	what      string
	limit     float64
	than      string // the name of theirs, or of a figure the limit in words if it needs some
	our, they key    // of a figure, they is empty
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// marks are those of this run.
func (b *bench) marks() []mark {
	o, ours := b.options, b.reference()
	few, many, one := usual(o.tickets[0]), usual(o.tickets[len(o.tickets)-1]), usual(o.crowd)
	than := func(what string, limit float64, name string, c circumstances, step, our, they string) mark {
		return mark{what, limit, name, key{c, step, our}, key{c, step, they}}
	}
	figure := func(what string, limit float64, peer, figure string) mark {
		return mark{what, limit, "", key{What: figure, Peer: peer}, key{}}
	}
	filled := one // sssd_kcm may be too slow for a larger cache
	if b.results.find(key{one, "store", "sssd"}).value() == 0 {
		filled = few
	}
	list := []mark{
		than("RETRIEVE", 1.4, "canned", one, "retrieve", ours, "canned"),
		than("RETRIEVE of a missing ticket", 1.3, "canned", one, "miss", ours, "canned"),
		than("GET_PRINCIPAL", 1.3, "canned", one, "principal", ours, "canned"),
		than("iterate", 1.15, "canned", one, "iterate", ours, "canned"),
		than("klist", 1.15, "canned", withCaches(1), "klist", ours, "canned"),
		than("klist -A of 50 caches", 1.15, "canned", withCaches(manyCaches), "klist-A", ours, "canned"),
		than("kinit, full", 1.15, "FILE", withCaches(1), "kinit", "kcmd-full", "file"),
		than("kinit, normal", 1.05, "FILE", withCaches(1), "kinit", "kcmd-normal", "file"),
		{fmt.Sprintf("RETRIEVE with %s tickets", thousands(many.Tickets)), 1.3, "with " + thousands(few.Tickets),
			key{many, "retrieve", ours}, key{few, "retrieve", ours}},
		than(fmt.Sprintf("STORE, full, %s tickets", thousands(filled.Tickets)), 0.1, "sssd_kcm", filled, "store", "kcmd-full", "sssd"),
		{"STORE, full, one client", 1.01, "1 fdatasync each", key{What: syncsWith(1), Peer: "kcmd-full"}, key{}},
		than("STORE, normal", 9, "the echo", one, "store", "kcmd-normal", "echo"),
	}
	for _, peer := range []string{"kcmd-full", "kcmd-normal"} {
		store := "STORE, " + strings.TrimPrefix(peer, "kcmd-")
		list = append(list, mark{fmt.Sprintf("%s, with %s tickets", store, thousands(many.Tickets)), 1.3, "with " + thousands(few.Tickets),
			key{many, "store", peer}, key{few, "store", peer}})
		for _, users := range o.users {
			list = append(list, mark{fmt.Sprintf("%s, with %s other users", store, thousands(users)), 1.3, "with none",
				key{few.beside(users), "store", peer}, key{few, "store", peer}})
		}
	}
	return append(list,
		than("iterate", 1, "FILE", one, "iterate", ours, "file"),
		mark{"RETRIEVE, 8 clients at once", 8, "one client", key{one.atOnce(8), "retrieve", ours}, key{one, "retrieve", ours}},
		figure("memory with 8 clients at once", 64*mib, ours, memoryWith(one.atOnce(8))),
		figure("10,000 users x 10 tickets: start", 100_000, "kcmd-full", "10,000 users: "+firstAnswer),
		figure("10,000 users x 10 tickets: memory", 64*mib, "kcmd-full", "10,000 users: "+memoryThen),
		figure(idleMemory, 12*mib, "kcmd-full", idleMemory),
		figure(userMemory, 19*kib, "kcmd-full", userMemory))
}

// markTable has a line for each mark that was measured.
func (b *bench) markTable() table {
	t := table{{"", "wanted", "measured", ""}}
	var missing []string
	for _, m := range b.marks() {
		x, y, ratio := b.results.find(m.our), b.results.find(m.they), m.they != key{}
		if x.value() == 0 || ratio && y.value() == 0 {
			missing = append(missing, m.what)
			continue
		}
		value, wanted, measured := x.value(), "at most "+cmp.Or(m.than, inUnit(m.limit, x.Unit)), x.String()
		if ratio {
			value /= y.value()
			wanted = fmt.Sprintf("at most %g x %s", m.limit, m.than)
			measured = fmt.Sprintf("%s (%s and %s us)", b.ratio(m.our, m.they), digits(x.value()), digits(y.value()))
		}
		t = append(t, []string{m.what, wanted, measured, map[bool]string{true: "met", false: "not met"}[value <= m.limit]})
	}
	if len(missing) > 0 {
		b.note("Not measured: %s.", strings.Join(missing, "; "))
	}
	return t
}
