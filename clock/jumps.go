package clock

import (
	"sync"
	"time"
)

// A wall clock runs along with the boot clock if it differs by no more than
// jumpMin plus a share of the time that passed. NTP slews a clock by up to 500
// ppm, and steps of less than a minute do no harm to tickets, which last hours.
const (
	jumpMin   = time.Minute
	jumpShare = 1000
)

// Jumps finds out when the wall clock jumps: it was set, or ran away
// from the boot clock. Its methods may be called by several goroutines at once.
type Jumps struct {
	clock Clock

	mu     sync.Mutex
	wall   time.Time     // with boot, one moment since which the clocks ran together
	boot   time.Duration // at that moment
	jumped bool          // the wall clock jumped just before that moment
}

// NewJumps returns the Jumps of c from now on. It cannot know of earlier ones.
func NewJumps(c Clock) *Jumps { return &Jumps{clock: c, wall: c.Now(), boot: c.Boot()} }

// Since returns how long ago, by the boot clock, the wall clock jumped last. It
// is false if the wall clock has not jumped. A jump is seen by the first call
// after it; it misses a jump that is undone before.
func (j *Jumps) Since() (time.Duration, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	wall, boot := j.clock.Now(), j.clock.Boot()
	passed := boot - j.boot
	if off := (wall.Sub(j.wall) - passed).Abs(); off > jumpMin+passed/jumpShare {
		j.wall, j.boot, j.jumped, passed = wall, boot, true, 0
	}
	return passed, j.jumped
}
