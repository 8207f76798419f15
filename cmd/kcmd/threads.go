package main

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// spareThreads is how many threads run Go code besides one on each processor, while
// several users are at work, or one makes long calls on D-Bus. Go notices the next
// request when one of the threads has nothing to do; the kernel then lets it run
// before threads that have been at work for long. Without spare threads others would wait
// for the large requests of one user: under attack, on two processors, one RETRIEVE in a
// hundred takes 33 ms, with them 12 ms, and with 12 no less. While only one user works
// they would cost, since the threads look for work in vain: with eight clients at once
// RETRIEVE would take 175 to 201 us, not 73 to 129.
const spareThreads = 4

// spareFor is how long the spare threads stay after they were last needed. To add and
// to remove them stops all threads for a moment.
const spareFor = time.Minute

// threads adds the spare threads when they are needed. Its zero value has none.
type threads struct {
	noted atomic.Int64 // when need last noted that, in seconds since 1970

	mu    sync.Mutex
	spare *time.Timer // removes the spare threads; nil: there are none
}

// need has the spare threads run for spareFor. GOMAXPROCS takes precedence.
func (t *threads) need() {
	now := time.Now().Unix()
	if last := t.noted.Load(); last == now || !t.noted.CompareAndSwap(last, now) || os.Getenv("GOMAXPROCS") != "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spare != nil {
		t.spare.Reset(spareFor)
		return
	}
	t.spare = time.AfterFunc(spareFor, t.drop)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareThreads)
}

// drop removes the spare threads.
func (t *threads) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spare = nil
	runtime.SetDefaultGOMAXPROCS()
}
