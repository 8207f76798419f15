package main

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// The spare threads come when they are needed, and leave some time later.
func TestSpareThreads(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	runtime.SetDefaultGOMAXPROCS()
	own := runtime.GOMAXPROCS(0)
	t.Cleanup(runtime.SetDefaultGOMAXPROCS)
	synctest.Test(t, func(t *testing.T) {
		var threads threads
		expect := func(spare int) {
			t.Helper()
			synctest.Wait()
			if n := runtime.GOMAXPROCS(0); n != own+spare {
				t.Errorf("%d threads, want %d + %d", n, own, spare)
			}
		}
		for range 3 {
			threads.need()
			threads.need()
			expect(spareThreads)
			time.Sleep(spareFor - time.Second)
		}
		expect(spareThreads)
		time.Sleep(2 * time.Second)
		expect(0)
		threads.need()
		expect(spareThreads)
		time.Sleep(2 * spareFor)
		expect(0)
	})
}

// A number of threads that the environment sets stays.
func TestSpareThreadsOff(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	before := runtime.GOMAXPROCS(0)
	var threads threads
	threads.need()
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d threads, want %d", n, before)
	}
}
