package main

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make(series, 100)
	for i := range hundred {
		hundred[i] = time.Duration((i*37)%100 + 1) // 1 to 100, in disorder
	}
	for _, c := range []struct {
		name string
		s    series
		q    float64
		want time.Duration
	}{
		{"one", series{7}, 0.5, 7},
		{"one, 99th", series{7}, 0.99, 7},
		{"two", series{9, 1}, 0.5, 1},
		{"three", series{9, 1, 5}, 0.5, 5},
		{"median of 100", hundred, 0.5, 50},
		{"99th of 100", hundred, 0.99, 99},
		{"all of 100", hundred, 1, 100},
		{"none of 100", hundred, 0, 1},
	} {
		if got := c.s.quantile(c.q); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
	if hundred[1] != 38 {
		t.Error("the series is sorted now")
	}
}

func TestQuietestTurn(t *testing.T) {
	r := &result{}
	r.turn(series{50, 51, 900})
	r.turn(series{10, 12, 14})
	r.turn(nil)
	r.turn(series{20, 20, 1})
	if len(r.Took) != 9 || len(r.Turns) != 3 {
		t.Errorf("%d measurements in %d turns, want 9 in 3", len(r.Took), len(r.Turns))
	}
	if got := r.quiet(); got != 12 {
		t.Errorf("the quietest turn has %d, want 12", got)
	}
}
