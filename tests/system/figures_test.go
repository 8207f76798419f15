package system

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

// figures are the resources of a process.
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

// needFiles skips the test unless this program may open n files.
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

// dialAs connects as another user, for which it must be root.
func dialAs(uid int, socket string) (wire, error) {
	c, err := lab.DialAs(uid, socket, patience)
	if err != nil {
		return wire{}, err
	}
	return wire{c}, c.SetDeadline(time.Now().Add(patience))
}
