package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

func main() {
	o, err := parseOptions(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(os.Stdout)
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "tests/bench: %v\nSee tests/bench --help.\n", err)
		os.Exit(2)
	case o.needs:
		for _, word := range o.needed() {
			fmt.Println(word)
		}
		return
	}
	lab.CloseOnSignal()
	err = lab.UseSystemPath()
	if err == nil {
		// Other users read what is in the lab.
		syscall.Umask(0o022)
		err = run(o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "tests/bench: %v\n", err)
		os.Exit(1)
	}
}

// needed returns the programs and files that must be installed.
func (o *options) needed() []string {
	list := []string{"gcc", "/usr/include/krb5.h"}
	for _, name := range o.peers {
		list = append(list, findKind(name).needs...)
	}
	if o.has(partSyncs) {
		list = append(list, "strace")
	}
	if o.has(partCommands) {
		list = append(list, lab.KerberosPrograms...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// A bench is one run.
type bench struct {
	options *options
	lab     *lab.Lab
	labs    []*lab.Lab // of the daemons
	kcmd    string     // path of the binary
	driver  string     // path of the program
	drivers []*driver
	peers   []*peer
	places  int // that are taken
	realm   *lab.Realm

	results       results
	memory        []memoryResult
	syncResults   []syncResult
	scaleResults  []*scaleResult
	growthResults []growthResult

	allocationResults []allocationResult
}

// run measures, and writes the report to w.
func run(o *options, w io.Writer) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	if o.built != "" {
		l.OnClose(func() { os.RemoveAll(o.built) })
	}
	b := &bench{options: o, lab: l}
	defer b.closeLabs()
	if err := b.build(); err != nil {
		return err
	}
	if err := b.startPeers(); err != nil {
		return err
	}
	var took []string
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{partCalls, b.calls},
		{partFrames, b.frames},
		{partClients, b.manyClients},
		{partSyncs, b.syncs},
		{partAllocations, b.allocations},
		{partCommands, b.commands},
		{partUsers, b.manyUsers},
		{partScale, b.scale},
		{partGrowth, b.grow},
	} {
		if !o.has(part.name) {
			continue
		}
		b.begin(part.name)
		start := time.Now()
		if err := part.do(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		took = append(took, fmt.Sprintf("%s %.0f s", part.name, time.Since(start).Seconds()))
	}
	b.progress("")
	b.report(w)
	fmt.Fprintf(w, "\nIt took: %s\n", strings.Join(took, ", "))
	if o.jsonFile != "" {
		if err := b.writeJSON(o.jsonFile); err != nil {
			return err
		}
	}
	if o.plotDir != "" {
		if err := b.plot(o.plotDir); err != nil {
			return err
		}
	}
	return b.failed()
}

// closeLabs closes the labs of the daemons.
func (b *bench) closeLabs() {
	for _, l := range b.labs {
		l.Close()
	}
}

// build makes the daemon and the driver.
func (b *bench) build() (err error) {
	b.progress("building")
	if b.options.kcmd != "" {
		b.kcmd, err = filepath.Abs(b.options.kcmd)
	} else {
		b.kcmd, err = b.lab.Program(b.options.root)
	}
	if err != nil {
		return err
	}
	b.driver, err = compileDriver(b.lab)
	return err
}

// clients returns so many clients.
func (b *bench) clients(n int) ([]*driver, error) {
	for len(b.drivers) < n {
		d, err := startDriver(b.lab, b.driver, len(b.drivers))
		if err != nil {
			return nil, err
		}
		b.drivers = append(b.drivers, d)
	}
	return b.drivers[:n], nil
}

// failed returns an error if kcmd has failed at anything.
func (b *bench) failed() error {
	for _, p := range b.peers {
		if p.isKcmd && p.failure != nil && !errors.Is(p.failure, errNot) {
			return fmt.Errorf("%s: %w", p.name, p.failure)
		}
	}
	for _, r := range b.syncResults {
		if r.Failure != nil && findKind(r.Peer).isKcmd() {
			return fmt.Errorf("%s: counting: %w", r.Peer, r.Failure)
		}
	}
	for _, r := range b.scaleResults {
		if r.Failure != nil {
			return fmt.Errorf("%s: %d users: %w", r.Peer, r.Users, r.Failure)
		}
	}
	for _, r := range b.growthResults {
		if r.Failure != nil {
			return fmt.Errorf("%s: %s: %w", r.Peer, r.What, r.Failure)
		}
	}
	for _, r := range b.results.list {
		if p := b.peer(r.Peer); p.isKcmd && r.Failure != nil && !errors.Is(r.Failure, errSlow) && !errors.Is(r.Failure, errNot) {
			return fmt.Errorf("%s: %s: %w", r.Peer, r.Step, r.Failure)
		}
	}
	return nil
}

// peer returns the peer of that name, nil if it is not measured.
func (b *bench) peer(name string) *peer {
	i := slices.IndexFunc(b.peers, func(p *peer) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return b.peers[i]
}
