package budget

import (
	"math"
	"time"
)

// A load is how many turns there are at a time, on average over the last loadTime.
type load struct {
	worked time.Duration // less what is forgotten
	last   time.Time     // when worked was so
}

const loadTime = 250 * time.Millisecond

// add counts work that has just been done.
func (l *load) add(now time.Time, work time.Duration) {
	l.worked, l.last = l.left(now)+work, now
}

// at returns the load.
func (l *load) at(now time.Time) float64 { return l.left(now).Seconds() / loadTime.Seconds() }

func (l *load) left(now time.Time) time.Duration {
	return time.Duration(float64(l.worked) * math.Exp(-now.Sub(l.last).Seconds()/loadTime.Seconds()))
}
