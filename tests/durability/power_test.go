package durability

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

var powerRounds = flag.Int("power", 3, "how often TestPowerCut cuts the power")

// The power is cut while clients work: by the kernel, which drops what it has
// not written yet to a file system of its own. What was answered is there when
// the power is back.
func TestPowerCut(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		answers, rounds, err := tryPowerCuts(t, *powerRounds, nil)
		t.Logf("%d answers while the power was cut %d times", answers, rounds)
		if err != nil {
			t.Error(err)
		}
	})
	// A daemon that waits for no disk loses something in nearly every round. If
	// that is not seen here, nor would it be above.
	t.Run("off", func(t *testing.T) {
		answers, rounds, err := tryPowerCuts(t, 10, []string{os.Args[0], carelessWord})
		t.Logf("%d answers while the power was cut %d times: %v", answers, rounds, err)
		if err == nil {
			t.Error("nothing is lost, which cannot be")
		}
	})
}

// tryPowerCuts cuts the power so many times, or until something is wrong with
// what is there after it.
func tryPowerCuts(t *testing.T, rounds int, through []string) (answers, cuts int, wrong error) {
	disk, d := newImageDisk(t)
	d.Through = append(d.Through, through...)
	clients := newClients(8)
	for cuts < rounds {
		start(t, d)
		compareServed(t, clients, d)
		answers += workUntil(t, clients, d, func() { cutPower(t, disk, d) })
		if t.Failed() {
			t.FailNow()
		}
		cuts++
		if err := errors.Join(disk.Unmount(), disk.Mount()); err != nil {
			t.Fatal(err)
		}
		if wrong = compareLeft(clients, disk.Path("kcmd.db")); wrong != nil {
			return answers, cuts, wrong
		}
	}
	start(t, d)
	compareServed(t, clients, d)
	stopAndInspect(t, d, disk.Path("kcmd.db"), clients...)
	return answers, cuts, nil
}

// What a daemon shows that was started after another one was killed stays when
// the power is cut, also what the other one had not made durable nor answered.
func TestShownIsDurable(t *testing.T) {
	needTracing(t)
	disk, d := newImageDisk(t)
	start(t, d)
	c := newClient(0)
	to := mustDial(t, d.Socket)
	mustAsk(t, c, to, 30)

	// It has written what it cannot sync any more.
	inject(t, d.PID(), "fsync,fdatasync:signal=KILL")
	if err := c.ask(to); err == nil {
		t.Fatal("there was an answer, though nothing was synced")
	}
	for d.Running() {
		time.Sleep(time.Millisecond)
	}

	start(t, d)
	before := c.now()
	compareServed(t, []*client{c}, d)
	if c.now().Compare(before) != nil {
		t.Fatal("what was written is not shown, so that there is nothing to try")
	}
	cutPower(t, disk, d)
	if err := errors.Join(disk.Unmount(), disk.Mount()); err != nil {
		t.Fatal(err)
	}
	if err := compareLeft([]*client{c}, disk.Path("kcmd.db")); err != nil {
		t.Error(err)
	}
}

// cutPower stops the daemon in the middle of it, so that it cannot answer for
// what comes after the cut, cuts, and has it end.
func cutPower(t *testing.T, disk *lab.Disk, d *lab.Daemon) {
	stopped, err := freeze(d.PID())
	if err == nil && !stopped {
		err = fmt.Errorf("the daemon was not stopped within %v", patience)
	}
	if err := errors.Join(err, disk.CutPower(), d.Kill()); err != nil {
		t.Error(err)
	}
}

// freeze stops a process and waits until all its threads are stopped.
func freeze(pid int) (stopped bool, err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return false, err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if stopped, err := frozen(pid); stopped || err != nil {
			return stopped, err
		}
	}
	return false, nil
}

func frozen(pid int) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/task/", pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		b, err := os.ReadFile(dir + thread.Name() + "/stat")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		// The state comes behind the name, which may have anything in it.
		text := string(b)
		if fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]); fields[0] != "T" {
			return false, nil
		}
	}
	return true, nil
}
