package tests

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// figures are what a process takes of the machine.
type figures struct {
	memory int // resident, MiB
	peak   int // the most that it ever was, MiB
	files  int // open descriptors; 0 if we may not see them
}

func (f figures) String() string { return fmt.Sprintf("%d MiB", f.memory) }

var statusLine = regexp.MustCompile(`(?m)^(VmRSS|VmHWM):\s+(\d+) kB$`)

func lookAt(t *testing.T, pid int) figures {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var f figures
	for _, m := range statusLine.FindAllSubmatch(status, -1) {
		kib, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		switch string(m[1]) {
		case "VmRSS":
			f.memory = kib >> 10
		case "VmHWM":
			f.peak = kib >> 10
		}
	}
	if f.memory == 0 || f.peak == 0 {
		t.Fatalf("no figures in\n%s", status)
	}
	// The daemon is not dumpable, so that only root sees its descriptors.
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	f.files = len(files)
	return f
}

// needFiles skips the test unless this program may have so many files open.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < n {
		t.Skipf("needs %d open files, allowed are %d (ulimit -n)", n, limit.Cur)
	}
}

// evaluate makes a testimony of measurements.
func evaluate(took []time.Duration, err error) testimony {
	slices.Sort(took)
	return testimony{len(took), took[len(took)-1], took[len(took)/2], err}
}

// dialAs connects as another user, as which only root can do it, as a client
// does it: it waits for its turn, where net.Dial would give up.
func dialAs(uid int, socket string) (wire, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wire{}, err
	}
	file := os.NewFile(uintptr(fd), socket)
	defer file.Close()
	limit := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return wire{}, err
	}
	if err := connectAs(uid, fd, socket); err != nil {
		return wire{}, fmt.Errorf("cannot connect as %d: %w", uid, err)
	}
	c, err := net.FileConn(file)
	if err != nil {
		return wire{}, err
	}
	return wire{c}, c.SetDeadline(time.Now().Add(patience))
}

// connectAs has one thread be another user for as long as it takes. The kernel
// notes who connects, and no thread but this one changes.
func connectAs(uid, fd int, socket string) error {
	address := &unix.SockaddrUnix{Name: socket}
	self := os.Geteuid()
	if uid == self {
		return unix.Connect(fd, address)
	}
	// If the thread cannot be changed back it is not used any more.
	runtime.LockOSThread()
	if err := becomeUser(uid); err != nil {
		return err
	}
	err := unix.Connect(fd, address)
	if err := becomeUser(self); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return err
}

// becomeUser changes the effective uid of the thread.
func becomeUser(uid int) error {
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return fmt.Errorf("cannot become user %d: %w", uid, errno)
	}
	return nil
}
