// Package trim gives memory that is no longer used back to the system: on its own account
// the runtime takes minutes in an idle daemon.
//
// It imports nothing of ours. Its file is trim.go.
package trim

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Delay is how long after the last Touch a Trimmer works. The calls that used the memory
// have ended by then.
const Delay = time.Second

// A Trimmer calls Now after it is touched, once for many touches: while it is touched again
// and again, the runtime collects by itself. The zero value is ready for use, by several
// goroutines.
type Trimmer struct {
	mu    sync.Mutex
	timer *time.Timer
}

// Touch has the trimmer work Delay from now, and not before.
func (t *Trimmer) Touch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(Delay, Now)
	} else {
		t.timer.Reset(Delay)
	}
}

// Now gives unused memory back to the system. What has a finalizer, as tickets have, is
// found unused by one garbage collection, and is free only for the next.
func Now() {
	runtime.GC()
	awaitFinalizers()
	debug.FreeOSMemory()
}

// finalizersWait bounds the wait for finalizers.
const finalizersWait = 10 * time.Second

// awaitFinalizers waits until the finalizers of the last garbage collection have run.
func awaitFinalizers() {
	queue := []metrics.Sample{{Name: "/gc/finalizers/queued:finalizers"}, {Name: "/gc/finalizers/executed:finalizers"}}
	metrics.Read(queue)
	queued := queue[0].Value.Uint64()
	for end := time.Now().Add(finalizersWait); queue[1].Value.Uint64() < queued && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		metrics.Read(queue)
	}
}
