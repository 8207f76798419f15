package main

import (
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
	labs    []*lab.Lab // of the peers
	kcmd    string     // path of the binary
	driver  string     // path of the program
	drivers []*driver
	peers   []*peer
	places  int // of all peers so far

	realm    *lab.Realm // of the commands, nil without them
	recorder *peer      // before the first kcmd

	results results
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
	return attempt(func() {
		b.build()
		b.startRealm()
		b.startPeers()
		var took []string
		for _, part := range chosen(parts, b.options.parts, partName) {
			if part.root != "" && os.Getuid() != 0 {
				b.note("%s: only root can %s", part.name, part.root)
				continue
			}
			start := time.Now()
			if err := attempt(func() { part.measure(b) }); err != nil {
				must(fmt.Errorf("%s: %w", part.name, err))
			}
			took = append(took, fmt.Sprintf("%s %.0f s", part.name, time.Since(start).Seconds()))
		}
		b.progress("")
		b.note("Time: %s", strings.Join(took, ", "))
	})
}

// build builds the daemon and the driver.
func (b *bench) build() {
	b.progress("building")
	b.kcmd, b.driver = got(b.lab.Program(b.options.root)), b.lab.Path("driver")
	if b.options.against != "" {
		b.options.against = got(exec.LookPath(b.options.against))
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-Werror", "-o", b.driver}
	args = append(args, got(filepath.Glob(filepath.Join(b.options.root, "tests/cmd/bench/driver/*.c")))...)
	got(lab.Output(exec.Command("gcc", append(args, "-lkrb5", "-lpthread")...)))
}

// startRealm starts a realm for the commands.
func (b *bench) startRealm() {
	if slices.Contains(b.options.parts, "commands") {
		b.progress("starting a KDC")
		b.realm = got(b.lab.NewRealm())
		must(b.realm.Admin("ktadd -k " + keytabOf(b.lab) + " alice"))
	}
}

// An aborted is an error that ends what attempt has begun.
type aborted struct{ error }

// must ends the present attempt if there is an error.
func must(err error) {
	if err != nil {
		panic(aborted{err})
	}
}

// got is must for a function with a result.
func got[T any](result T, err error) T {
	must(err)
	return result
}

// attempt calls a function and returns the error that has ended it.
func attempt(f func()) (err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case aborted:
			err = reason.error
		default:
			panic(reason)
		}
	}()
	f()
	return nil
}

// withLab calls a function with a lab of its own, and keeps its error in place of a figure
// of the peer.
func (b *bench) withLab(peer, what string, f func(*lab.Lab)) {
	b.progress(what + ": " + peer)
	b.results.addFailure(peer, what, attempt(func() {
		l := got(lab.New())
		defer l.Close()
		f(l)
	}))
}

// failed returns an error if kcmd has failed at something.
func (b *bench) failed() error {
	var errs []error
	for _, p := range b.peers {
		if p.isKcmd() && p.failure != nil && !errors.Is(p.failure, errNot) {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.failure))
		}
	}
	for _, r := range b.results {
		if kindOf(r.Peer).isKcmd() && r.failure != nil && !errors.Is(r.failure, errSlow) && !errors.Is(r.failure, errNot) {
			errs = append(errs, fmt.Errorf("%s: %s: %w", r.Peer, r.What, r.failure))
		}
	}
	return errors.Join(errs...)
}
