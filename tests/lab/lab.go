package lab

import (
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Lab is a temporary directory, with the processes that were started in it.
type Lab struct {
	// Dir is readable for every user, since clients of other users read krb5.conf
	// and connect to sockets in it. Secret files have a mode of their own.
	Dir string

	mu      sync.Mutex
	closers []func()
	closed  bool
}

// open holds the labs that CloseOnSignal closes.
var open struct {
	mu     sync.Mutex
	labs   map[*Lab]bool
	ending bool // the program is about to exit
}

// stayWhileEnding does not return if CloseOnSignal is about to exit, so that no other
// exit comes before it has removed everything.
func stayWhileEnding() {
	open.mu.Lock()
	ending := open.ending
	open.mu.Unlock()
	if ending {
		select {}
	}
}

// New makes an empty lab. The caller closes it.
func New() (*Lab, error) {
	// The path has to be short: the address of a socket has 108 bytes, and
	// libkrb5 silently truncates a longer one.
	parent := os.TempDir()
	if len(parent) > 40 {
		parent = "/tmp"
	}
	stayWhileEnding()
	dir, err := os.MkdirTemp(parent, "kcmd-lab-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a lab: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot make a lab: %w", err)
	}

	l := &Lab{Dir: dir}
	open.mu.Lock()
	defer open.mu.Unlock()
	if open.labs == nil {
		open.labs = make(map[*Lab]bool)
	}
	open.labs[l] = true
	return l, nil
}

// Path returns the path of a file of the lab.
func (l *Lab) Path(name ...string) string {
	return filepath.Join(append([]string{l.Dir}, name...)...)
}

// Close ends everything that was started in the lab, the latest first, and
// removes its directory. It may be called more than once.
func (l *Lab) Close() {
	stayWhileEnding()
	l.close()
}

func (l *Lab) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, f := range slices.Backward(l.closers) {
		f()
	}
	os.RemoveAll(l.Dir)

	open.mu.Lock()
	defer open.mu.Unlock()
	delete(open.labs, l)
}

// OnClose makes Close call f. If an interrupt has closed the lab, it calls f at once.
func (l *Lab) OnClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		f()
		return
	}
	l.closers = append(l.closers, f)
}

// CloseOnSignal closes all labs and exits at SIGINT, SIGTERM and SIGHUP. It returns a
// function after which SIGINT is ignored, for a caller that runs a shell in its
// terminal.
func CloseOnSignal() (ignoreInterrupts func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A closed pipe ("| head") is an error of the write, and does not end the
	// program before it has removed everything.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	var ignored atomic.Bool
	go func() {
		s := <-c
		for s == os.Interrupt && ignored.Load() {
			s = <-c
		}
		open.mu.Lock()
		open.ending = true
		labs := slices.Collect(maps.Keys(open.labs))
		open.mu.Unlock()
		for _, l := range labs {
			l.close()
		}
		// Other goroutines run until the program exits, and may have made a file
		// while the directory was being removed.
		for range 5 {
			for _, l := range labs {
				os.RemoveAll(l.Dir)
			}
			time.Sleep(10 * time.Millisecond)
		}
		os.Exit(128 + int(s.(syscall.Signal)))
	}()
	// Not signal.Ignore, which programs started later would inherit.
	return func() { ignored.Store(true) }
}
