package trim_test

import (
	"runtime"
	"testing"
	"time"

	"kcmd.org/kcmd/trim"
)

const (
	mib    = 1 << 20
	unused = 64 // MiB
)

// fill allocates memory with finalizers, as tickets have.
func fill() (held [][]byte) {
	for range unused {
		b := make([]byte, mib)
		runtime.SetFinalizer(&b[0], func(first *byte) { *first = 0 })
		held = append(held, b)
	}
	return held
}

// resident returns how much of the heap the system has not got back, in MiB.
func resident() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapSys-m.HeapReleased) / mib
}

func TestNow(t *testing.T) {
	held := fill()
	before := resident()
	runtime.KeepAlive(held) // until here
	trim.Now()
	if after := resident(); after > before-unused/2 {
		t.Errorf("%d MiB of the heap before, %d after; %d are unused", before, after, unused)
	}
}

// TestTouch touches again and again: the trimmer works once that ends.
func TestTouch(t *testing.T) {
	var m trim.Trimmer
	held := fill()
	before := resident()
	runtime.KeepAlive(held)
	for range 3 {
		m.Touch()
	}
	for end := time.Now().Add(time.Minute); resident() > before-unused/2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d MiB of the heap before, %d after; %d are unused", before, resident(), unused)
		}
	}
}
