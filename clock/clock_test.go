package clock_test

import (
	"testing"
	"time"

	"kcmd.org/kcmd/clock"
)

// TestSystemTimer sets a timer to times in the future and in the past.
func TestSystemTimer(t *testing.T) {
	timer, err := clock.System{}.NewTimer()
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	set := func(at time.Time) {
		t.Helper()
		if err := timer.Set(at); err != nil {
			t.Fatal(err)
		}
	}
	fires := func(at time.Time) {
		t.Helper()
		select {
		case <-timer.C():
		case <-time.After(time.Minute):
			t.Fatalf("set to %v, it does not fire", at)
		}
		if now := time.Now(); now.Before(at) {
			t.Errorf("set to %v, it fired at %v", at, now)
		}
	}
	for _, at := range []time.Time{
		time.Now().Add(50 * time.Millisecond), time.Now().Add(-time.Hour), time.Unix(0, 0), time.Unix(-5, 0), {},
	} {
		set(at)
		fires(at)
	}
	set(time.Now().Add(time.Hour))
	select {
	case <-timer.C():
		t.Error("it fires before its time")
	case <-time.After(20 * time.Millisecond):
	}
	soon := time.Now().Add(20 * time.Millisecond)
	set(soon) // the last time that is set counts
	fires(soon)
}
