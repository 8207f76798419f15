package system

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

var together = flag.Duration("together", 5*time.Second, "how long the moves of TestAllAtOnce last (30 s for a measurement)")

// TestAllAtOnce has every move of these tests, and those on the bus, made at once,
// each by a user of its own, again and again. Four other users work as usual and get
// no error, and the daemon stays under its limit of memory. How long one of them
// waits for RETRIEVE is printed, and for comparison the time before, and how long an
// echo by a process of its own takes meanwhile: on processors that are all busy it
// waits too. The attackers have a process that yields the processors to others (nice).
func TestAllAtOnce(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("-short: no attack of some seconds")
	}
	lab.Need(t, append(slices.Clone(lab.BusPrograms), "nice")...)
	l, d := newLab(t)
	d.Verbose = false
	d.Bus = newSystemBus(t, l)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	start, end := time.Now(), make(chan struct{})
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() { ordinary(t, d.Socket, witnessUID+i, end) })
	}
	all.Go(func() { ordinaryOnBus(t, d.Bus.Address, end) })

	echo := startEcho(t)
	quiet, quietEcho := retrieves(t, d.Socket, echo, max(*together/3, 2*time.Second))
	attackers := startAttackers(t, d)
	loud, loudEcho := retrieves(t, d.Socket, echo, *together)
	if err := attackers(); err != nil {
		t.Error(err)
	}
	close(end)
	all.Wait()

	peak := lookAt(t, d.PID()).peak
	t.Logf("RETRIEVE of a quiet user: %v before, %v during the attack; 99 %% are %.1f times as long; at most %d MiB",
		quiet, loud, float64(loud.most99)/float64(quiet.most99), peak)
	t.Logf("an echo: %v before, %v during the attack; of 99 %%, RETRIEVE takes %.1f times as long",
		quietEcho, loudEcho, float64(loud.most99)/float64(loudEcho.most99))
	most := ceiling
	if raceDaemon() {
		most *= raceMemory
	}
	if peak > most {
		t.Errorf("the daemon took %d MiB, want at most %d", peak, most)
	}
	checkLog(t, d.Log(), int(time.Since(start).Seconds()))
}

// ordinary has a user work as clients do, until the end.
func ordinary(t *testing.T, socket string, uid int, end <-chan struct{}) {
	cache := name(strconv.Itoa(uid))
	work := func() error {
		c, err := dialAs(uid, socket)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := succeeded(c.call(opReplace, cache, be32(0), principal("alice"), be32(1), data(string(tgt())))); err != nil {
			return fmt.Errorf("REPLACE: %w", err)
		}
		for i := range 10 {
			service := strconv.Itoa(i)
			if err := succeeded(c.call(opStore, cache, credential(service))); err != nil {
				return fmt.Errorf("STORE: %w", err)
			}
			code, got, err := c.call(opRetrieve, cache, be32(0), matchServer(service))
			if err != nil || code != 0 || !bytes.Equal(got, credential(service)) {
				return fmt.Errorf("RETRIEVE: code %d, %d bytes, %w", code, len(got), err)
			}
		}
		return succeeded(c.call(opGetCredList, cache))
	}
	untilEnd(t, fmt.Sprint("user ", uid), end, work)
}

// ordinaryOnBus has root ask on the bus, until the end.
func ordinaryOnBus(t *testing.T, bus string, end <-chan struct{}) {
	untilEnd(t, "root on the bus", end, func() error {
		w, err := lab.DialBusAs(0, bus, patience)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Send(lab.BusName, managerPath, "org.freedesktop.DBus.Properties.GetAll", lab.BusName+".Manager"); err != nil {
			return err
		}
		_, err = w.Reply()
		return err
	})
}

func untilEnd(t *testing.T, who string, end <-chan struct{}, work func() error) {
	for n := 0; ; n++ {
		if err := work(); err != nil {
			t.Errorf("%s, in round %d: %v", who, n, err)
			return
		}
		select {
		case <-end:
			t.Logf("%s: %d rounds", who, n+1)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waits are how long answers took.
type waits struct {
	times                int
	median, most99, most time.Duration
}

func (w waits) String() string {
	return fmt.Sprintf("%.2f/%.2f/%.1f ms (median/99 %%/most of %d)", ms(w.median), ms(w.most99), ms(w.most), w.times)
}

// retrieves measures RETRIEVE for a while over one connection, by turns with an echo.
func retrieves(t *testing.T, socket string, echo net.Conn, d time.Duration) (of, ofEcho waits) {
	t.Helper()
	const uid = witnessUID + 10
	c, err := dialAs(uid, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cache := name(strconv.Itoa(uid))
	mustCall(t, c, opReplace, cache, be32(0), principal("alice"), be32(1), data(string(credential("measured"))))
	var took, echoTook []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		start := time.Now()
		mustCall(t, c, opRetrieve, cache, be32(0), matchServer("measured"))
		took = append(took, time.Since(start))
		time.Sleep(time.Millisecond)
		start = time.Now()
		mustEcho(t, echo)
		echoTook = append(echoTook, time.Since(start))
	}
	return waitsOf(took), waitsOf(echoTook)
}

func waitsOf(took []time.Duration) waits {
	slices.Sort(took)
	return waits{len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

// startEcho connects to a process that sends back what it gets: cat.
func startEcho(t *testing.T) net.Conn {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file, theirs := os.NewFile(uintptr(fds[0]), "echo"), os.NewFile(uintptr(fds[1]), "cat")
	defer theirs.Close()
	ours, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return ours
}

// mustEcho sends as many bytes as RETRIEVE, and waits for them.
func mustEcho(t *testing.T, echo net.Conn) {
	t.Helper()
	b := make([]byte, 128)
	if _, err := echo.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(echo, b); err != nil {
		t.Fatal(err)
	}
}

// attackVariable has TestAttackers attack: the directory of a daemon.
const attackVariable = "LAB_ATTACK"

// startAttackers starts TestAttackers in a process of its own. The function that it
// returns ends it.
func startAttackers(t *testing.T, d *lab.Daemon) (stop func() error) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "attackers")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("nice", "-n", "19", os.Args[0], "-test.run", "^TestAttackers$", "-test.v")
	// What they leave when they are killed goes with the lab of the daemon.
	dir := filepath.Dir(d.Socket)
	cmd.Env = append(os.Environ(), attackVariable+"="+dir, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = out, out
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	return func() error {
		made := waitForMoves(log)
		if err := cmd.Process.Kill(); err != nil {
			return fmt.Errorf("the attackers have ended: %w", err)
		}
		_ = cmd.Wait() // it was killed
		t.Logf("%d moves were made", made)
		if made < allMoves() {
			text, _ := os.ReadFile(log)
			return fmt.Errorf("that is less than each move once, %d\n%s", allMoves(), text)
		}
		return nil
	}
}

// waitForMoves returns how many moves the attackers have begun, when they have begun
// each, or after a long time: on a busy machine they hardly get a processor (nice).
func waitForMoves(log string) (begun int) {
	for end := time.Now().Add(10 * patience); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(log)
		begun = bytes.Count(text, []byte("=== RUN   TestAttackers/"))
		if err != nil || begun >= allMoves() || time.Now().After(end) {
			return begun
		}
	}
}

func allMoves() int { return len(slices.Concat(moves...)) + len(busMoves) }

// TestAttackers is the process of the attackers, until it is killed. Moves may fail
// there, where others take the room. Without the variable it does nothing.
func TestAttackers(t *testing.T) {
	dir := os.Getenv(attackVariable)
	if dir == "" {
		t.Skip("not a test: the attackers of TestAllAtOnce")
	}
	socket := filepath.Join(dir, "kcm.sock")
	var all sync.WaitGroup
	repeat := func(name string, play func(t *testing.T)) {
		all.Go(func() {
			for {
				t.Run(name, play)
			}
		})
	}
	uid := attackerUID + 1000
	for _, m := range slices.Concat(moves...) {
		uid++
		a := &attack{uid: uid, daemon: &lab.Daemon{Socket: socket}}
		repeat(m.name, func(t *testing.T) {
			defer a.leave()
			a.t = t
			m.play(t, a)
		})
	}
	for i, m := range busMoves {
		a := &busAttack{uid: busUIDs[i], socket: socket, bus: "unix:path=" + filepath.Join(dir, "bus.sock")}
		repeat(m.name, func(t *testing.T) {
			defer a.leave()
			if err := m.play(a, time.Now().Add(3*time.Second)); err != nil {
				t.Log(err)
			}
		})
	}
	all.Wait()
}
