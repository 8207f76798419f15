package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// processorTime returns how long all threads of a process have run so far.
func processorTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("cannot see the threads of process %d", pid)
	}
	var sum time.Duration
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		first, _, _ := bytes.Cut(b, []byte(" "))
		n, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// processorTime returns how long the server of a peer has run so far, 0 if there
// is none.
func (p *peer) processorTime() (time.Duration, error) {
	if p.pid == 0 {
		return 0, nil
	}
	return processorTime(p.pid)
}

// memory is what a process has of the machine's memory, and the most that it
// ever had, in bytes.
type memory struct{ now, peak int64 }

func memoryOf(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	var m memory
	for line := range bytes.Lines(b) {
		var name string
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "%s %d kB", &name, &kib); n != 2 {
			continue
		}
		switch name {
		case "VmRSS:":
			m.now = kib << 10
		case "VmHWM:":
			m.peak = kib << 10
		}
	}
	if m.now == 0 {
		return memory{}, fmt.Errorf("process %d has no memory", pid)
	}
	return m, nil
}
