package lab

import (
	"fmt"
	"os"
	"syscall"
)

// Main runs the tests of a test binary with a lab, which it closes at their end or at
// a signal, and returns the exit status.
func Main(use func(*Lab), tests func() int) int {
	CloseOnSignal()
	if err := UseSystemPath(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Other users read files of the lab.
	syscall.Umask(0o022)
	l, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer l.Close()
	use(l)
	return tests()
}
