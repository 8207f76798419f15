package clock_test

import (
	"testing"
	"time"

	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/clock/clocktest"
)

// TestJumps sets the clock by years, both ways, and lets it run.
func TestJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	m := clocktest.New(time.Unix(2_000_000_000, 0))
	j := clock.NewJumps(m)
	want := func(what string, since time.Duration, jumped bool) {
		t.Helper()
		if d, ok := j.Since(); ok != jumped || ok && d != since {
			t.Errorf("%s: jumped %v ago (%v), want %v (%v)", what, d, ok, since, jumped)
		}
	}
	want("at the start", 0, false)
	m.Advance(10 * year) // as a suspended machine sees it
	want("after a suspend", 0, false)
	m.Set(m.Now().Add(10 * time.Second))
	want("after a small step", 0, false)
	for range 10 * 24 { // ten days of a clock that is slewed by 500 ppm
		m.Advance(time.Hour)
		m.Set(m.Now().Add(time.Hour / 2000))
	}
	want("after a slew", 0, false)
	for _, d := range []time.Duration{3 * year, -6 * year, time.Hour, -time.Hour} {
		m.Set(m.Now().Add(d))
		want("set by "+d.String(), 0, true)
		m.Advance(time.Hour)
		want("an hour after", time.Hour, true)
	}
	m.Set(m.Now().Add(year))
	m.Set(m.Now().Add(-year)) // undone before anybody looked
	want("undone", time.Hour, true)
}

// TestSystemClocks compares the clocks of the machine.
func TestSystemClocks(t *testing.T) {
	c := clock.System{}
	j := clock.NewJumps(c)
	wall, boot := c.Now(), c.Boot()
	if boot <= 0 {
		t.Errorf("booted %v ago", boot)
	}
	time.Sleep(time.Millisecond)
	if now := c.Boot(); now <= boot {
		t.Errorf("the boot clock stands still at %v", now)
	}
	if now := c.Now(); !now.After(wall) {
		t.Errorf("the wall clock went from %v to %v", wall, now)
	}
	if d, ok := j.Since(); ok {
		t.Errorf("the wall clock jumped %v ago", d)
	}
}
