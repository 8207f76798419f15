package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// goroutines counts the daemon's goroutines by the function that started them.
type goroutines map[string]int

// quit ends the daemon by the signal on which the Go runtime writes what all
// goroutines are doing, and counts them.
func (s *stage) quit() (goroutines, error) {
	before := len(s.life.daemon.Log())
	err := s.life.end(func() error {
		if err := syscall.Kill(s.life.daemon.PID(), syscall.SIGQUIT); err != nil {
			return fmt.Errorf("cannot have kcmd show its goroutines: %w", err)
		}
		deadline := time.Now().Add(patience)
		for s.life.daemon.Running() {
			if time.Now().After(deadline) {
				return fmt.Errorf("kcmd did not end within %v after SIGQUIT", patience)
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	log := s.life.daemon.Log()
	s.traces = append(s.traces, span{before, len(log)})
	found := readTrace(log[before:])
	if len(found) == 0 {
		return nil, fmt.Errorf("there are no goroutines in what kcmd wrote after SIGQUIT:\n%s", log[before:])
	}
	return found, nil
}

var (
	goroutineHead = regexp.MustCompile(`^goroutine \d+ .*\[.*\]:$`)
	createdBy     = regexp.MustCompile(`^created by (\S+)`)
)

// readTrace counts the goroutines of a trace.
func readTrace(trace string) goroutines {
	found := make(goroutines)
	for part := range strings.SplitSeq(trace, "\n\n") {
		lines := strings.Split(strings.TrimSpace(part), "\n")
		if !slices.ContainsFunc(lines, goroutineHead.MatchString) {
			continue
		}
		creator := "main"
		for _, line := range lines {
			if m := createdBy.FindStringSubmatch(line); m != nil {
				creator = m[1]
			}
		}
		found[creator]++
	}
	return found
}

func (g goroutines) total() int {
	n := 0
	for _, k := range g {
		n += k
	}
	return n
}

// more returns an error that tells of which there are more than in before.
func (g goroutines) more(before goroutines) error {
	var list []string
	for _, creator := range slices.Sorted(maps.Keys(g)) {
		if n := g[creator] - before[creator]; n > 0 {
			list = append(list, fmt.Sprintf("%d started by %s", n, creator))
		}
	}
	if list == nil {
		return nil
	}
	return fmt.Errorf("%d goroutines, a fresh daemon has %d; too many are: %s", g.total(), before.total(), strings.Join(list, ", "))
}
