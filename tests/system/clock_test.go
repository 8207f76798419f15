package system

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A movedClock moves the clock of a kcmd.
type movedClock struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// startMoved starts a daemon with a clock that the test moves.
func (w *world) startMoved(t *testing.T, args ...string) *movedClock {
	t.Helper()
	program, err := shared.MovedClock("../..")
	if err != nil {
		t.Fatal(err)
	}
	socket := w.lab.Path("clock")
	_ = os.Remove(socket) // of a daemon that was killed
	w.daemon.Program, w.daemon.Through = program, []string{"env", "KCMD_MOVED_CLOCK=" + socket}
	if err := w.daemon.Start(args...); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &movedClock{t, conn, bufio.NewReader(conn)}
}

func (c *movedClock) move(line string) {
	c.t.Helper()
	fmt.Fprintln(c.conn, line)
	if answer, err := c.in.ReadString('\n'); err != nil || answer != "ok\n" {
		c.t.Fatalf("%s: %q, %v", line, answer, err)
	}
}

// TestClock steps the clock of kcmd by a year both ways, and suspends it for a day. The
// state of the ticket on D-Bus changes within a second, and nothing is lost.
func TestClock(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.BusPrograms...)
	w := newStoppedWorld(t, "clock")
	bus, err := w.lab.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = bus
	c := w.startMoved(t, "--renew", "yes")
	monitor, err := bus.NewMonitor("tray", uint32(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, "kinit", "-l", "8h", "-r", "1d", "alice")
	w.mustRun(t, "kvno", w.service)
	before := w.tell("KCM:", "klist").Stdout
	// A change that is announced later would have the state of that time.
	waitFor(t, "the ticket on D-Bus", func() bool { return strings.Contains(monitor.Output(), w.service) })

	var delays []time.Duration
	moves := func(line, state string) {
		t.Helper()
		seen := len(monitor.Output())
		began := time.Now()
		c.move(line)
		state = `(?m)Properties\.PropertiesChanged .*'State': <'` + state + `'>`
		waitFor(t, "the state after "+line, func() bool { return regexp.MustCompile(state).MatchString(monitor.Output()[seen:]) })
		delays = append(delays, time.Since(began))
	}
	kept := func() {
		t.Helper()
		if after := w.tell("KCM:", "klist").Stdout; after != before {
			t.Errorf("there are other tickets than before:\n%s", after)
		}
	}
	moves("step 8760h", "expired")
	kept()
	moves("step -8760h", "valid")
	kept()
	c.move("step -8760h")
	kept()
	c.move("step 8760h")
	kept()
	if n := w.renewals(); n != 0 || strings.Contains(w.daemon.Log(), "cannot renew") {
		t.Errorf("%d renewals, and perhaps a failure, of a ticket that is not due", n)
	}
	moves("suspend 24h", "expired")
	if n := strings.Count(monitor.Output(), "Cache.TicketExpired "); n != 1 {
		t.Errorf("TicketExpired was sent %d times for one ticket", n)
	}
	kept()
	c.move("suspend 24h") // since the clock was set it may be wrong: so long it is not trusted
	waitFor(t, "the removal", func() bool { return w.tell("KCM:", "klist", "-s").Err != nil })
	t.Logf("the states came after %v", delays)
	if least := slices.Min(delays); least > time.Second {
		t.Errorf("no state came within a second: %v", delays)
	}
}

// TestIdle has many caches of which nothing is due for an hour. The daemon does nothing,
// also when minutes pass one by one.
func TestIdle(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can fill the caches of other users")
	}
	w := newStoppedWorld(t, "idle")
	w.daemon.Verbose = false
	c := w.startMoved(t, "--renew", "yes", "--synchronous", "normal")
	client := w.dial(t)
	for uid := 1; uid <= *dueCaches; uid++ {
		tgt := dueTGT(fmt.Sprintf("u%d@KCMD.TEST", uid))
		tgt.StartTime, tgt.EndTime = tgt.StartTime+6*3600, tgt.EndTime+6*3600 // due in 4 hours
		if err := fill(client, uid, tgt); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	cpu := func() time.Duration { return processorTime(t, w.daemon.PID()) }
	time.Sleep(3 * time.Second) // work after the last request, such as that of the collector
	before, woken := cpu(), switches(t, w.daemon.PID())
	time.Sleep(5 * time.Second)
	t.Logf("%d caches: in 5 s of idleness %v of processor time, %d wake-ups", *dueCaches, cpu()-before, switches(t, w.daemon.PID())-woken)
	before = cpu()
	for range 60 {
		c.move("suspend 1m")
	}
	took := cpu() - before
	t.Logf("%d caches: an hour, minute by minute, takes %v of processor time", *dueCaches, took)
	if took > time.Second {
		t.Errorf("an hour in which nothing is due takes %v of processor time", took)
	}
}

// processorTime returns the processor time that a process has used.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks time.Duration
	for _, field := range f[11:13] { // utime and stime, see proc_pid_stat(5)
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100
}

// switches returns how often the threads of a process have waited for something.
func switches(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			if value, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				more, _ := strconv.Atoi(strings.TrimSpace(value))
				n += more
			}
		}
	}
	return n
}
