package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"kcmd.org/kcmd/safetext"
)

// A progress line is on the terminal while a KDC is asked.
type progress struct {
	stop  func()
	shown sync.WaitGroup
}

// startProgress shows a line on standard error if that is a terminal and it takes
// longer than half a second.
func startProgress(what string) *progress {
	p := &progress{stop: func() {}}
	if !isTerminal(os.Stderr) {
		return p
	}
	done := make(chan struct{})
	p.stop = sync.OnceFunc(func() { close(done) })
	p.shown.Go(func() { show(safetext.Escape(what), done) })
	return p
}

// show writes the line again each second until done is closed, and then erases it.
func show(what string, done <-chan struct{}) {
	begin := time.Now()
	for wait := 500 * time.Millisecond; ; wait = time.Second {
		select {
		case <-done:
			fmt.Fprint(os.Stderr, "\r\x1b[K")
			return
		case <-time.After(wait):
			fmt.Fprintf(os.Stderr, "\r\x1b[K%s ... %d s", what, time.Since(begin)/time.Second)
		}
	}
}

// end erases the line.
func (p *progress) end() {
	p.stop()
	p.shown.Wait()
}
