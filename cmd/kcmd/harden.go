package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden protects session keys: it switches off core dumps, stops other processes of
// the same user from reading the memory (ptrace, /proc/PID/mem), and sets a umask for
// private files.
func harden() error {
	unix.Umask(0o077)
	// Lowering a limit needs no privilege.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	// A core_pattern with a pipe ignores the limit, but not this flag.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	return nil
}
