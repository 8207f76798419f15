package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/tests/lab"
)

// A syncResult counts how often a server waits for the disk while clients store
// tickets. It has no times: strace slows the server down.
type syncResult struct {
	Peer    string  `json:"peer"`
	Clients int     `json:"clients"`
	Stores  int     `json:"stores"`
	Syncs   int     `json:"fdatasync"` // and fsync
	Commits int     `json:"commits,omitempty"`
	Failure failure `json:"failure,omitzero"`
}

// storesTogether is how many tickets all clients store.
const storesTogether = 192

// syncs counts for the servers that write to a disk.
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
			r := &syncResult{Peer: name, Clients: clients}
			b.syncResults = append(b.syncResults, r)
			r.Failure = failed(b.countSyncs(r, start))
		}
	}
	return nil
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
			p.isKcmd, p.together = true, true
			p.daemon = l.NewDaemon(b.program(name))
			p.daemon.Through = tracer(file)
			if err := p.daemon.Start(append([]string{"--synchronous=" + mode}, noLimits...)...); err != nil {
				return err
			}
			return b.kcmCaches(p, p.daemon.Socket)
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
func (b *bench) countSyncs(r *syncResult, start func(l *lab.Lab, p *peer, file string) error) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	trace := l.Path("trace")
	p := b.newPeer("traced-" + r.Peer)
	if err := start(l, p, trace); err != nil {
		return err
	}
	c := usual(10)
	c.Clients = r.Clients
	clients, err := b.clients(c)
	if err != nil {
		return err
	}
	p.collects = false // without other caches
	if err := b.prepare(c, p, clients); err != nil {
		return err
	}
	before, err := countSyncsIn(trace)
	if err != nil {
		return err
	}
	took, err := together(clients, p, "again", max(storesTogether/r.Clients, 1), answerPatience, anyProcessor)
	if err != nil {
		return err
	}
	after, err := countSyncsIn(trace)
	r.Stores, r.Syncs = len(took), after-before
	if err != nil || p.daemon == nil {
		return err
	}
	commits, err := countCommits(p.daemon)
	if err != nil && strings.HasPrefix(r.Peer, against) {
		return nil // another version may have another schema
	}
	r.Commits = commits - 1 // the first makes the cache
	return err
}

// returned is a line of strace for a call that has returned.
var returned = regexp.MustCompile(`(?m)(fsync|fdatasync)(\(| resumed).*= 0$`)

func countSyncsIn(trace string) (int, error) {
	b, err := os.ReadFile(trace)
	return len(returned.FindAll(b, -1)), err
}

// countCommits stops a daemon and returns the revision of our collection.
func countCommits(d *lab.Daemon) (int, error) {
	if err := d.Stop(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, d.Database, sqlite.Options{})
	if err != nil {
		return 0, err
	}
	record, err := backend.Load(ctx, ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(os.Getuid())})
	if err := errors.Join(err, backend.Close()); err != nil {
		return 0, err
	}
	return int(record.Revision), nil
}
