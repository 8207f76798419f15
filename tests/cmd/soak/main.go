// Soak runs the real daemon for as long as it is told, among clients of all
// kinds, and looks for what only time shows: something lost, a wrong answer, or
// memory, descriptors or goroutines that never come back. tests/run --soak
// builds and starts it.
//
// A soak has an actor for each kind of client (player.go, mayfly.go, glutton.go,
// intruder.go, programs.go, renewal.go, readers.go, subscribers.go, witness.go), bounded in
// what they store and ask for, and hostile ones without bounds (enemy.go). They play
// in the phases of a plan (main.go, plan.go): between them are quiet points (quiet.go),
// at which nobody is connected and the daemon must be what it was at the quiet point
// before. At last it is stopped and killed again and again (restarts.go), and nothing
// may be lost (check.go).
//
// The actors share a stage (stage.go) with the daemon (life.go). They use client.go,
// tickets.go, command.go and monitor.go. tally.go, waits.go, figures.go and
// goroutines.go measure; budgets.go, log.go and faults.go find and report faults.
//
// It imports lab, the protocol's leaf kcm, the store, to check what is in the
// database in the end, and the table of limits, which the daemon must keep.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

func main() {
	minutes := flag.Float64("minutes", 60, "how many `minutes` it takes")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what the actors' choices follow from, together with time")
	programs := flag.String("programs", "", "a `directory` to be removed in the end")
	flag.Parse()
	sound, err := run(time.Duration(*minutes*float64(time.Minute)), *seed, *programs)
	if err != nil {
		fmt.Fprintf(os.Stderr, "tests/cmd/soak: %v\n", err)
	}
	if err != nil || !sound {
		os.Exit(1)
	}
}

// run returns whether nothing was lost, wrong or leaked, or why that cannot be
// told.
func run(total time.Duration, seed uint64, programs string) (sound bool, err error) {
	lab.CloseOnSignal()
	// Files of the lab have the mode that they are made with: other users read them.
	syscall.Umask(0o022)
	if err := lab.UseSystemPath(); err != nil {
		return false, err
	}
	l, err := lab.New()
	if err != nil {
		return false, err
	}
	defer l.Close()
	if programs != "" {
		l.OnClose(func() { os.RemoveAll(programs) })
	}
	plan, err := newPlan(total)
	if err != nil {
		return false, err
	}
	fmt.Printf("Setting up a realm with a KDC, a message bus and kcmd in %s. Seed %d.\n", l.Dir, seed)
	fmt.Println(plan)
	s, err := setUp(l, seed)
	if err != nil {
		return false, err
	}
	return s.play(plan)
}
