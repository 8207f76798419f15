package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Whether a client and a server share a processor makes a larger difference than
// what is measured, and once they do, or do not, they stay so. So every turn begins
// with both put somewhere, by turns on the same processor and on different ones,
// and free to leave.

// settling is how long a server is held where it was put: long enough for it to
// have served a few requests there.
const settling = time.Millisecond

// places returns where the client and the server begin turn number n.
func places(n int) (client, server int) {
	processors := runtime.NumCPU()
	return n % processors, n / processors % processors
}

// holdOn puts a server on a processor. The function that it returns lets it go.
func holdOn(pid, processor int) (letGo func() error, err error) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &all); err != nil {
		return nil, fmt.Errorf("cannot see where process %d may run: %w", pid, err)
	}
	if !all.IsSet(processor) {
		return func() error { return nil }, nil
	}
	one.Set(processor)
	if _, err := allow(pid, &one); err != nil {
		return nil, err
	}
	return func() error {
		// A thread that was born meanwhile has it from the one that made it.
		for {
			if changed, err := allow(pid, &all); err != nil || !changed {
				return err
			}
		}
	}, nil
}

// allow sets where the threads of a process may run, and tells whether that is new
// to any of them.
func allow(pid int, set *unix.CPUSet) (changed bool, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return false, err
		}
		var old unix.CPUSet
		// Errors are those of threads that have ended.
		if unix.SchedGetaffinity(id, &old) == nil && old != *set && unix.SchedSetaffinity(id, set) == nil {
			changed = true
		}
	}
	return changed, nil
}
