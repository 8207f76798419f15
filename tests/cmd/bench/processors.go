package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Whether a client and a server share a processor makes a larger difference than
// what is measured, and once they do, or do not, they stay so. So in every second
// turn both are confined to one processor, another one each time, and in the
// others they are free.

// anywhere is the processor of a turn in which all are free.
const anywhere = -1

// processorOf returns the one processor of turn number n, or anywhere.
func processorOf(n int) int {
	if n%2 == 1 {
		return anywhere
	}
	return n / 2 % runtime.NumCPU()
}

// confine has a process run on one processor only. The function that it returns
// lets it go. Where there is no process, or any processor will do, nothing is
// done.
func confine(pid, processor int) (letGo func() error, err error) {
	free := func() error { return nil }
	if pid == 0 || processor == anywhere {
		return free, nil
	}
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &all); err != nil {
		return nil, fmt.Errorf("cannot see where process %d may run: %w", pid, err)
	}
	if !all.IsSet(processor) {
		return free, nil
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
