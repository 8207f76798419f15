package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps session keys out of core dumps and out of the reach of other
// processes of the same user (ptrace, /proc/PID/mem), and files that are made
// from now on to this user.
func harden() error {
	unix.Umask(0o077)
	// Lowering a limit is allowed to everybody.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	// A core_pattern that is a pipe ignores the limit, but not this.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	return nil
}
