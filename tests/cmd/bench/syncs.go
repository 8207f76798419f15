package main

import (
	"fmt"
	"os"
	"regexp"

	"kcmd.org/kcmd/tests/lab"
)

// syncs counts how often the servers that write to a disk wait for it while clients
// store tickets. It has no times: strace slows the server down.
func (b *bench) syncs() {
	must(lab.Missing("strace"))
	for _, clients := range append([]int{1}, b.options.clients...) {
		for _, name := range b.peerNames() {
			if kindOf(name).has(writes) {
				b.withLab(name, syncsWith(clients), func(l *lab.Lab) { b.countSyncs(l, name, clients) })
			}
		}
	}
}

// syncsWith names the figure of a server's waits for the disk.
func syncsWith(clients int) string {
	return fmt.Sprintf("fdatasync for each ticket stored, clients: %d", clients)
}

// countSyncs starts a server and counts while clients store.
func (b *bench) countSyncs(l *lab.Lab, name string, atOnce int) {
	const tickets, storesTogether = 10, 192
	trace := l.Path("trace")
	p, clients := b.newPeer(name, kindOf(name)), b.clients(atOnce)
	p.start(b, l, p, "strace", "-D", "-f", "-q", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", trace)
	b.fill(usual(tickets).atOnce(atOnce), p, clients)
	again := once("again", tickets)
	again.count = max(storesTogether/atOnce, 1)
	before := countSyncsIn(trace)
	took := got(together(clients, p, again))
	b.results.add(name, syncsWith(atOnce), "", float64(countSyncsIn(trace)-before)/float64(len(took)))
}

// returned is a line of strace for a call that has returned.
var returned = regexp.MustCompile(`(?m)(fsync|fdatasync)(\(| resumed).*= 0$`)

func countSyncsIn(trace string) int { return len(returned.FindAll(got(os.ReadFile(trace)), -1)) }
