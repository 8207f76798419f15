package keyring

import "runtime"

// A thread runs functions on one thread of the system, one after the other.
type thread struct {
	calls chan func()
	done  chan struct{}
}

func newThread() *thread {
	t := &thread{calls: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		runtime.LockOSThread() // and for ever: the thread ends here, and its keyrings with it
		for f := range t.calls {
			f()
		}
	}()
	return t
}

// do runs f and returns its error.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	t.calls <- func() { result <- f() }
	return <-result
}

func (t *thread) end() {
	close(t.calls)
	<-t.done
}
