package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"kcmd.org/kcmd/tests/lab"
)

// storesTogether is how many tickets all clients store.
const storesTogether = 192

// syncs counts how often the servers that write to a disk wait for it while clients
// store tickets. It has no times: strace slows the server down.
func (b *bench) syncs() error {
	if err := lab.Missing("strace"); err != nil {
		return err
	}
	for _, clients := range append([]int{1}, b.options.clients...) {
		for _, name := range b.peerNames() {
			start := b.tracedStart(name)
			if start == nil {
				continue
			}
			b.progress(fmt.Sprintf("counting fdatasync of %s for %d clients", name, clients))
			err := withLab(func(l *lab.Lab) error { return b.countSyncs(l, name, clients, start) })
			b.addFailure(name, syncsWith(clients), err)
		}
	}
	return nil
}

// syncsWith names the figure of a server's waits for the disk.
func syncsWith(clients int) string {
	return fmt.Sprintf("fdatasync for each ticket stored, clients: %d", clients)
}

// tracedStart returns a function that starts a peer under strace with its output
// in a file, or nil for a peer that does not write to a disk.
func (b *bench) tracedStart(name string) func(l *lab.Lab, p *peer, file string) error {
	tracer := func(file string) []string {
		return []string{"strace", "-D", "-f", "-q", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", file}
	}
	switch mode := strings.TrimPrefix(findKind(name).name, "kcmd-"); mode {
	case "full", "normal":
		return func(l *lab.Lab, p *peer, file string) error {
			p.isKcmd = true
			d := l.NewDaemon(b.program(name))
			d.Through = tracer(file)
			if err := d.Start(append([]string{"--synchronous=" + mode}, noLimits...)...); err != nil {
				return err
			}
			return b.serverCaches(p, d.Socket)
		}
	case "sssd":
		return func(l *lab.Lab, p *peer, file string) error {
			s, err := l.NewSSSD(tracer(file)...)
			return b.startOther(p, s, err)
		}
	}
	return nil
}

// countSyncs starts a server and counts while clients store.
func (b *bench) countSyncs(l *lab.Lab, name string, atOnce int, start func(l *lab.Lab, p *peer, file string) error) error {
	trace := l.Path("trace")
	p := b.newPeer("traced-" + name)
	if err := start(l, p, trace); err != nil {
		return err
	}
	c := usual(10)
	c.Clients = atOnce
	clients, err := b.clients(atOnce)
	if err != nil {
		return err
	}
	p.collects = false // without other caches
	if err = b.prepare(c, p, clients); err != nil {
		return err
	}
	before, err := countSyncsIn(trace)
	if err != nil {
		return err
	}
	took, err := together(clients, p, "again", max(storesTogether/atOnce, 1), answerPatience, anyProcessor)
	if err != nil {
		return err
	}
	after, err := countSyncsIn(trace)
	if err == nil {
		b.add(name, syncsWith(atOnce), "", float64(after-before)/float64(len(took)))
	}
	return err
}

// returned is a line of strace for a call that has returned.
var returned = regexp.MustCompile(`(?m)(fsync|fdatasync)(\(| resumed).*= 0$`)

func countSyncsIn(trace string) (int, error) {
	b, err := os.ReadFile(trace)
	return len(returned.FindAll(b, -1)), err
}
