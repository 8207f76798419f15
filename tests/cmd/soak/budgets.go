package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"kcmd.org/kcmd/budget"
)

// What the daemon may take at any time, by its table of limits, as the units have it.
var (
	limits = budget.Default()
	// mostMemory is twice the budgets and the program, in bytes.
	mostMemory = 2 * (limits.Memory.Whole + limits.Collections.Whole + 32<<20)
	mostFiles  = int(limits.Connections.Whole) + 64
)

const mostThreads = 512

// watchBudgets notes a fault when the daemon takes more than that.
func (s *stage) watchBudgets(f figures) {
	memory := mostMemory
	if raceDaemon() {
		memory *= 4
	}
	for _, fault := range []struct {
		what     string
		is, most int64
	}{
		{"memory", f.memory, memory},
		{"descriptors", int64(f.open()), int64(mostFiles)},
		{"threads", int64(f.threads), mostThreads},
	} {
		if fault.is > fault.most {
			s.faults.add("budget", fmt.Errorf("%s: %d, want at most %d", fault.what, fault.is, fault.most))
		}
	}
}

// lineBurst is how many lines about an account come at once, after each start.
const lineBurst = 20

var lineUID = regexp.MustCompile(` level=INFO .*\buid=(\d+) `)

// checkLines checks how many lines about each uid the log has, of an account in each
// namespace.
func (s *stage) checkLines(log string, d time.Duration) {
	lines := make(map[string]int)
	for line := range strings.Lines(log) {
		if m := lineUID.FindStringSubmatch(line); m != nil {
			lines[m[1]]++
		}
	}
	starts := 3 + s.tally.restarts.Load() // with the rehearsal's, and after each quit
	most := (1 + len(namespaces)) * int(lineBurst*starts+limits.Lines.Account*int64(d/time.Minute+1))
	for uid, n := range lines {
		if n > most {
			s.faults.add("budget", fmt.Errorf("%d lines in the log about uid %s, want at most %d", n, uid, most))
		}
	}
}
