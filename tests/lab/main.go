package lab

import (
	"fmt"
	"os"
	"syscall"
)

// Main runs the tests of a test binary, with a lab that is closed when they end
// and when somebody ends them, and returns the status to exit with.
func Main(use func(*Lab), tests func() int) int {
	CloseOnSignal()
	if err := UseSystemPath(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Files of the lab have the mode that they are made with, whatever the
	// user's habits are: other users read them.
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
