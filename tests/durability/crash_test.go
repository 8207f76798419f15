package durability

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// A daemon is recorded while clients work, and what a crash would have left is
// made and opened for each moment of it.
func TestCrashStates(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector this takes minutes; tests/run runs it without")
	}
	t.Run("full", func(t *testing.T) {
		found := tryCrashStates(t, 40, nil, "--synchronous", "full")
		found.wantWhole(t, killed, unwritten, torn)
		if !found.checkpoint {
			t.Error("the WAL was not folded into the database while clients worked")
		}
	})
	// Of those that are to lose something less is enough to see it.
	t.Run("normal", func(t *testing.T) {
		found := tryCrashStates(t, 15, nil, "--synchronous", "normal")
		found.wantWhole(t, killed)
		found.wantConsistent(t, unwritten, torn)
		found.wantLost(t, unwritten, torn)
	})
	t.Run("off", func(t *testing.T) {
		found := tryCrashStates(t, 15, []string{os.Args[0], carelessWord})
		found.wantWhole(t, killed)
		found.wantLost(t, unwritten, torn)
	})
}

// A crash is a way to end.
type crash string

const (
	killed    crash = "daemon killed"
	unwritten crash = "power cut, nothing written but what was synced"
	torn      crash = "power cut, some written of what was not synced"
)

// tryCrashStates records clients that ask for so many changes each, and returns
// what was found in the crash states. through is the beginning of the daemon's
// command, args its end.
func tryCrashStates(t *testing.T, changes int, through []string, args ...string) *findings {
	t.Helper()
	clients, rec := record(t, changes, through, args)
	// Where files are written and synced without a disk, if there is such a place.
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	dir, err := os.MkdirTemp(parent, "kcmd-lab-crash-")
	if err != nil {
		t.Fatal(err)
	}
	l.OnClose(func() { os.RemoveAll(dir) })

	f := &findings{
		dir:     dir,
		clients: clients,
		random:  rand.New(rand.NewPCG(1, 2)),
		states:  make(map[[sha256.Size]byte]*state),
		turns:   make(chan bool, runtime.NumCPU()),
	}
	began := time.Now()
	f.replay(rec)
	t.Logf("%d steps of the daemon, %d different crash states, opened in %v", len(rec.steps), len(f.states), time.Since(began).Round(time.Millisecond))
	for _, how := range []crash{killed, unwritten, torn} {
		t.Logf("%s: %d crashes, something wrong after %d", how, len(f.after(how)), len(f.wrong(how)))
	}
	return f
}

// record returns the clients, with all that they have asked for, and what the
// daemon has done meanwhile and when it was stopped.
func record(t *testing.T, changes int, through, args []string) ([]*client, *recording) {
	t.Helper()
	needTracing(t)
	l, d := newLab(t)
	log := l.Path("strace")
	d.Through = slices.Concat([]string{"strace"}, recordingOptions, []string{"-o", log, "--"}, through)
	if err := d.Start(args...); err != nil {
		t.Fatal(err)
	}
	clients := newClients(3)
	conns := make([]*kcmclient.Client, len(clients))
	for i, c := range clients {
		c.plan.size = 22000 // so that there is a checkpoint in between
		conns[i] = mustDial(t, d.Socket)
		// The daemon accepts one after the other, so that the order identifies them.
		if err := conns[i].Noop(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			for range changes {
				if err := c.ask(conns[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	pid := d.PID()
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, log, pid)
	if t.Failed() {
		t.FailNow()
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := readRecording(f, filepath.Dir(d.Database))
	if err != nil {
		t.Fatal(err)
	}
	return clients, rec
}

// checkpointed reports whether the database file was written between two answers.
func checkpointed(rec *recording) bool {
	first := slices.IndexFunc(rec.steps, func(s step) bool { return s.did == answered })
	last := len(rec.steps) - 1
	for last > first && rec.steps[last].did != answered {
		last--
	}
	return slices.ContainsFunc(rec.steps[first:last], func(s step) bool { return s.did == wrote && s.file == "kcmd.db" })
}

// awaitEnd waits until strace has written that the process has ended.
func awaitEnd(t *testing.T, log string, pid int) {
	t.Helper()
	end := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with`, pid))
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if end.Match(b[max(0, len(b)-200):]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("strace has not ended: ...%s", b[max(0, len(b)-300):])
		}
	}
}

// Findings are what was found in the crash states of a recording.
type findings struct {
	dir     string // where they are made
	clients []*client
	random  *rand.Rand

	checkpoint bool // the WAL was folded into the database between two answers
	crashes    []crashed
	states     map[[sha256.Size]byte]*state // that were opened

	// Opening what crashes have left is what takes time: several do it at once.
	opening sync.WaitGroup
	turns   chan bool
}

// A crashed store is what one crash has left: often the same as another one.
type crashed struct {
	how   crash
	when  string // after which step
	state *state
}

// A state is what a store was found in.
type state struct{ err error }

// everyWrite says how many writes there are to a crash between two of them.
// There is one after every other step.
const everyWrite = 24

// replay tries crashes after each step of the recording.
func (f *findings) replay(rec *recording) {
	f.checkpoint = checkpointed(rec)
	d := newDisk()
	answers := make([]int, len(f.clients))
	for i, s := range rec.steps {
		d.do(s)
		if s.did == answered {
			answers[s.client]++
		}
		if s.did == wrote && i%everyWrite != 0 {
			continue
		}
		when := fmt.Sprintf("step %d, %s %s", i, s.did, s.file)
		f.try(killed, when, answers, d.all())
		f.try(unwritten, when, answers, d.synced())
		for range 2 {
			f.try(torn, when, answers, d.torn(f.random))
		}
	}
	f.opening.Wait()
}

// try opens what a crash has left, of clients who have had so many answers. The
// same files with the same answers are not opened again.
func (f *findings) try(how crash, when string, answers []int, left files) {
	sum := left.sum(answers)
	s := f.states[sum]
	if s == nil {
		s = new(state)
		f.states[sum] = s
		answers = slices.Clone(answers)
		dir := filepath.Join(f.dir, fmt.Sprint(len(f.states)))
		f.turns <- true
		f.opening.Go(func() {
			s.err = f.open(left, dir, answers)
			<-f.turns
		})
	}
	f.crashes = append(f.crashes, crashed{how, when, s})
}

// open puts the files into a directory and looks for what clients must find who
// have had so many answers, the first one not to a change.
func (f *findings) open(left files, dir string, answers []int) error {
	defer os.RemoveAll(dir)
	if err := left.write(dir); err != nil {
		return err
	}
	return inspect(filepath.Join(dir, "kcmd.db"), func(from *kcmclient.Client) error {
		var errs []error
		for i, c := range f.clients {
			got, err := c.look(from)
			if err == nil {
				err = c.at(answers[i] - 1).explain(got)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// at returns the client as it was after so many answers to changes, waiting for
// the next one.
func (c *client) at(answers int) *client {
	answers = max(answers, 0)
	return &client{plan: c.plan, history: c.history[:min(answers+2, len(c.history))], answered: answers}
}

// after returns the crashes of that kind.
func (f *findings) after(how crash) []crashed {
	return slices.DeleteFunc(slices.Clone(f.crashes), func(c crashed) bool { return c.how != how })
}

// wrong returns those after which something was wrong.
func (f *findings) wrong(how crash) []crashed {
	return slices.DeleteFunc(f.after(how), func(c crashed) bool { return c.state.err == nil })
}

func (c crashed) String() string { return fmt.Sprintf("%s after %s: %v", c.how, c.when, c.state.err) }

// wantWhole wants everything that was answered to be there, and nothing half.
func (f *findings) wantWhole(t *testing.T, crashes ...crash) {
	t.Helper()
	for _, how := range crashes {
		if n := len(f.after(how)); n < 50 {
			t.Errorf("%s: %d crashes only", how, n)
		}
		for _, c := range first(f.wrong(how)) {
			t.Error(c)
		}
	}
}

// wantConsistent checks that the store has a state of its history.
func (f *findings) wantConsistent(t *testing.T, crashes ...crash) {
	t.Helper()
	for _, how := range crashes {
		half := slices.DeleteFunc(f.wrong(how), func(c crashed) bool { return onlyLost(c.state.err) })
		for _, c := range first(half) {
			t.Error(c)
		}
	}
}

// first returns the first few, which are enough to see what is wrong.
func first(list []crashed) []crashed { return list[:min(len(list), 3)] }

// wantLost wants something that was answered to be missing: if that is not seen
// here, nor would it be where it matters.
func (f *findings) wantLost(t *testing.T, crashes ...crash) {
	t.Helper()
	for _, how := range crashes {
		if len(f.wrong(how)) == 0 {
			t.Errorf("%s: nothing is lost, which cannot be", how)
		}
	}
}

// onlyLost reports whether an error has lost changes only.
func onlyLost(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyLost(err) })
	}
	if inner := errors.Unwrap(err); inner != nil {
		return onlyLost(inner)
	}
	var lost lostError
	return errors.As(err, &lost)
}
