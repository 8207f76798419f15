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

// A Lab is a temporary directory and everything that was started in it.
type Lab struct {
	// Dir is readable for every user, since clients of other users have to
	// reach the sockets and krb5.conf in it. What is secret is so by the mode
	// of its own file.
	Dir string

	mu      sync.Mutex
	closers []func()
	closed  bool
}

// open holds the labs that an interrupt has to close.
var open struct {
	mu     sync.Mutex
	labs   map[*Lab]bool
	ending bool // the program is about to exit
}

// stayWhileEnding does not return if the program is about to exit, so that it
// does not exit in another way, or begin something, before all is removed.
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
	// libkrb5 silently cuts what is longer.
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

// OnClose has f called by Close. A lab that is closed already, by an interrupt
// in the middle of setting up, calls it at once.
func (l *Lab) OnClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		f()
		return
	}
	l.closers = append(l.closers, f)
}

// CloseOnSignal closes all labs and exits when the program is interrupted or
// asked to end. It returns a function that has interrupts ignored from then
// on, for a caller that hands its terminal to somebody else.
func CloseOnSignal() (ignoreInterrupts func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Output that nobody reads any more ("| head") does not end the program
	// in the middle, but is an error like others to whoever writes it.
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
		// Whoever works in a lab does so until the program exits, and may
		// have made another file while the directory was being removed.
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
