package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// rounds has every peer take its turn in each of several rounds. A peer without a
// failure gets as many turns as fit into its budget of time.
func (b *bench) rounds(n int, list []*result, turn func(p *peer, r *result) error) {
	left := make(map[*result]time.Duration)
	for _, r := range list {
		left[r] = b.options.stepBudget
	}
	for range n {
		for _, r := range list {
			if r.Failure.error != nil || left[r] <= 0 {
				continue
			}
			p, start := b.peer(r.Peer), time.Now()
			r.Failure = failed(turn(p, r))
			left[r] -= time.Since(start)
			if p.ended != nil && p.failure == nil {
				p.failure = p.ended()
			}
		}
	}
}

// Whether client and server share a processor makes a larger difference than the
// differences that the bench measures, and the scheduler keeps them as they are.
// So in every second turn both are bound to one processor, another one each time,
// and in the other turns to none.

const anyProcessor = -1

// processorOf returns the processor of a turn.
func processorOf(turn int) int {
	if turn%2 == 1 {
		return anyProcessor
	}
	return turn / 2 % runtime.NumCPU()
}

// bind binds all threads of a process to one processor. The function that it
// returns frees them.
func bind(pid, processor int) (free func() error, err error) {
	nothing := func() error { return nil }
	if pid == 0 || processor == anyProcessor {
		return nothing, nil
	}
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &all); err != nil {
		return nil, fmt.Errorf("cannot read the processors of process %d: %w", pid, err)
	}
	if !all.IsSet(processor) {
		return nothing, nil
	}
	one.Set(processor)
	if _, err := setProcessors(pid, &one); err != nil {
		return nil, err
	}
	return func() error {
		// A new thread inherits the set of the thread that started it.
		for {
			if changed, err := setProcessors(pid, &all); err != nil || !changed {
				return err
			}
		}
	}, nil
}

// setProcessors sets the processors of all threads of a process, and reports
// whether that changed any of them.
func setProcessors(pid int, set *unix.CPUSet) (changed bool, err error) {
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
		// A thread that has ended returns an error.
		if unix.SchedGetaffinity(id, &old) == nil && old != *set && unix.SchedSetaffinity(id, set) == nil {
			changed = true
		}
	}
	return changed, nil
}
