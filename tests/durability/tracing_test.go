package durability

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

// needTracing skips the test where the daemon's calls of the system cannot be
// seen. It has made itself untraceable to all but root.
func needTracing(t *testing.T) {
	t.Helper()
	needRoot(t, "trace the daemon")
	lab.Need(t, "strace")
}

// inject has calls of a process fail, as strace's option says, until stop is
// called.
func inject(t *testing.T, pid int, calls string) (stop func()) {
	t.Helper()
	names, _, _ := strings.Cut(calls, ":")
	cmd := exec.Command("strace", "-f", "-p", strconv.Itoa(pid), "-o", "/dev/null",
		"-e", "trace="+names, "-e", "inject="+calls)
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	attached := make(chan string, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			select {
			case attached <- lines.Text():
			default:
			}
		}
		close(attached)
		_ = cmd.Wait() // it says that it was interrupted
	}()
	stop = func() {
		_ = cmd.Process.Signal(unix.SIGINT) // detaches
		<-ended
	}
	t.Cleanup(stop)
	if line := <-attached; !strings.Contains(line, "attached") {
		t.Fatalf("strace does not trace the daemon: %s", line)
	}
	return stop
}
