package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/tests/lab"
)

// A syncResult is how often a server waits for the disk while clients store
// tickets. Nothing is timed then: the server is traced, which makes it slower.
type syncResult struct {
	Peer    string
	Clients int
	Stores  int
	Syncs   int // fsync and fdatasync
	Maps    int // msync
	Commits int // of kcmd's store, -1 if there is none
	Failure error
}

// storesTogether is how many tickets the clients store together.
const storesTogether = 192

// syncs counts for those that keep what they are given.
func (b *bench) syncs() error {
	if lab.Missing("strace") != nil {
		return errors.New("strace is not installed (tests/bench installs it)")
	}
	for _, clients := range append([]int{1}, b.options.clients...) {
		for _, name := range b.peerNames() {
			start := b.tracedStart(name)
			if start == nil {
				continue
			}
			b.progress(fmt.Sprintf("counting what %s writes for %d clients", name, clients))
			r := syncResult{Peer: name, Clients: clients, Commits: -1}
			r.Failure = b.countSyncs(&r, start)
			b.syncResults = append(b.syncResults, r)
		}
	}
	return nil
}

// tracedStart returns what starts a peer under strace, which writes to the file,
// nil for one that keeps nothing on a disk or is not a server.
func (b *bench) tracedStart(name string) func(l *lab.Lab, p *peer, file string) error {
	tracer := func(file string) []string {
		return []string{"strace", "-D", "-f", "-q", "--seccomp-bpf", "-e", "trace=fsync,fdatasync,msync", "-e", "signal=none", "-o", file}
	}
	mode := strings.TrimPrefix(strings.Replace(name, against, "kcmd-", 1), "kcmd-")
	switch mode {
	case "full", "normal":
		return func(l *lab.Lab, p *peer, file string) error {
			script := l.Path("traced")
			text := "#!/bin/sh\nexec " + strings.Join(tracer(file), " ") + " " + b.program(name) + " \"$@\"\n"
			if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
				return err
			}
			p.isKcmd, p.together = true, true
			p.daemon = l.NewDaemon(script)
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

// countSyncs starts a server of its own for it.
func (b *bench) countSyncs(r *syncResult, start func(l *lab.Lab, p *peer, file string) error) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	trace := l.Path("trace")
	b.places++
	p := &peer{name: "traced-" + r.Peer, place: b.places - 1}
	if err := start(l, p, trace); err != nil {
		return err
	}
	clients, err := b.clients(r.Clients)
	if err != nil {
		return err
	}
	way := callers{bench: b, clients: clients}
	s := scene{circumstances: circumstances{byCalls, 10, usualSize, r.Clients, 0}}
	if err := way.begin(s); err != nil {
		return err
	}
	p.collects = false // no other caches
	if err := way.prepare(s, p); err != nil {
		return err
	}
	before, err := countCalls(trace)
	if err != nil {
		return err
	}
	each := max(storesTogether/r.Clients, 1)
	if r.Stores, err = storeTogether(clients, p, each); err != nil {
		return err
	}
	after, err := countCalls(trace)
	if err != nil {
		return err
	}
	r.Syncs, r.Maps = after.syncs-before.syncs, after.maps-before.maps
	if p.daemon == nil {
		return nil
	}
	commits, err := countCommits(p.daemon)
	if err != nil && strings.HasPrefix(r.Peer, against) {
		return nil // another version may have another database
	}
	r.Commits = commits - 1 // the cache itself
	return err
}

// storeTogether has all clients store so many tickets each.
func storeTogether(clients []*driver, p *peer, each int) (stores int, err error) {
	for _, d := range clients {
		if err := d.step(p, "again", each, answerPatience, anywhere); err != nil {
			return 0, err
		}
	}
	for _, d := range clients {
		got, failed := d.receiveSlice()
		stores += len(got.took)
		err = errors.Join(err, failed)
	}
	return stores, err
}

// tracedCalls are the calls that a trace has.
type tracedCalls struct{ syncs, maps int }

// tracedCall is a call that has returned.
var tracedCall = regexp.MustCompile(`(?m)(fsync|fdatasync|msync)(\(| resumed).*= 0$`)

func countCalls(trace string) (tracedCalls, error) {
	b, err := os.ReadFile(trace)
	if err != nil {
		return tracedCalls{}, err
	}
	var n tracedCalls
	for _, m := range tracedCall.FindAllSubmatch(b, -1) {
		if string(m[1]) == "msync" {
			n.maps++
		} else {
			n.syncs++
		}
	}
	return n, nil
}

// countCommits ends a daemon and reads from its database how many commits have
// made our collection what it is.
func countCommits(d *lab.Daemon) (int, error) {
	if err := d.Stop(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, d.Database, sqlite.Options{})
	if err != nil {
		return 0, err
	}
	defer backend.Close()
	record, err := backend.Load(ctx, ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(os.Getuid())})
	if err != nil {
		return 0, err
	}
	return int(record.Revision), nil
}

func (b *bench) reportSyncs(w io.Writer) {
	if len(b.syncResults) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWaiting for the disk, for each ticket stored (traced, not timed)\n")
	t := table{{"clients", "server", "stores", "fdatasync", "msync", "commits"}}
	for _, r := range b.syncResults {
		if r.Failure != nil {
			t = append(t, []string{strconv.Itoa(r.Clients), r.Peer, "fails: " + r.Failure.Error()})
			continue
		}
		each := func(n int) string {
			if n < 0 {
				return "-"
			}
			return strconv.FormatFloat(float64(n)/float64(r.Stores), 'f', 2, 64)
		}
		t = append(t, []string{strconv.Itoa(r.Clients), r.Peer, strconv.Itoa(r.Stores), each(r.Syncs), each(r.Maps), each(r.Commits)})
	}
	t.print(w)
}
