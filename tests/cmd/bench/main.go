package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"kcmd.org/kcmd/tests/lab"
)

func main() {
	o, err := parseOptions(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Print(usage())
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "tests/bench: %v\nSee tests/bench --help.\n", err)
		os.Exit(2)
	case o.needs:
		fmt.Println(strings.Join(o.needed(), "\n"))
		return
	}
	lab.CloseOnSignal()
	syscall.Umask(0o022) // other users read files of the lab
	if err := errors.Join(lab.UseSystemPath(), run(o, os.Stdout)); err != nil {
		fmt.Fprintf(os.Stderr, "tests/bench: %v\n", err)
		os.Exit(1)
	}
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
	places  int // of all peers so far

	realm    *lab.Realm // of the commands, nil without them
	recorder *recorder  // of the first kcmd

	results results
	figures []*figure
	notes   []string
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
	if err := b.run(); err != nil {
		return err
	}
	b.report(w)
	return b.failed()
}

// run measures.
func (b *bench) run() error {
	defer func() {
		for _, l := range b.labs {
			l.Close()
		}
	}()
	for _, do := range []func() error{b.build, b.startRealm, b.startPeers} {
		if err := do(); err != nil {
			return err
		}
	}
	var took []string
	for i, do := range []func() error{b.calls, b.commands, b.manyClients, b.syncs, b.manyUsers, b.scale, b.memory, b.fairness} {
		if !slices.Contains(b.options.parts, parts[i]) {
			continue
		}
		start := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", parts[i], err)
		}
		took = append(took, fmt.Sprintf("%s %.0f s", parts[i], time.Since(start).Seconds()))
	}
	b.progress("")
	b.note("Time: " + strings.Join(took, ", "))
	return nil
}

// build builds the daemon and the driver.
func (b *bench) build() (err error) {
	b.progress("building")
	if b.kcmd, err = b.lab.Program(b.options.root); err != nil {
		return err
	}
	if b.options.against != "" {
		if b.options.against, err = exec.LookPath(b.options.against); err != nil {
			return fmt.Errorf("--against: %w", err)
		}
	}
	b.driver, err = compileDriver(b.lab)
	return err
}

// compileDriver compiles the driver and returns the path of the program.
func compileDriver(l *lab.Lab) (string, error) {
	if err := os.CopyFS(l.Dir, driverSource); err != nil {
		return "", fmt.Errorf("cannot compile the driver: %w", err)
	}
	program := l.Path("driver", "driver")
	sources, err := filepath.Glob(l.Path("driver", "*.c"))
	if err != nil {
		return "", err
	}
	args := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-o", program}, sources...)
	cmd := exec.Command("gcc", append(args, "-lkrb5", "-lpthread")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := lab.Run(cmd); err != nil {
		return "", fmt.Errorf("cannot compile the driver: %w\n%s", err, out.String())
	}
	return program, nil
}

// failed returns an error if kcmd has failed at something.
func (b *bench) failed() error {
	var errs []error
	check := func(peer, what string, err error) {
		if findKind(peer).isKcmd() && err != nil && !errors.Is(err, errSlow) && !errors.Is(err, errNot) {
			errs = append(errs, fmt.Errorf("%s: %s: %w", peer, what, err))
		}
	}
	for _, p := range b.peers {
		check(p.name, "it", p.failure)
	}
	for _, r := range b.results {
		check(r.Peer, r.Step, r.failure)
	}
	for _, f := range b.figures {
		check(f.Peer, f.What, f.failure)
	}
	return errors.Join(errs...)
}

// peer returns the peer of that name, nil without one.
func (b *bench) peer(name string) *peer {
	i := slices.IndexFunc(b.peers, func(p *peer) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return b.peers[i]
}
