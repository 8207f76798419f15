package render

import (
	"time"

	"kcmd.org/kcmd/cmd/words"
)

const day = words.Day

// clock returns a time in the zone of the page, "-" for no time.
func (p *Page) clock(t time.Time) string { return words.Clock(t, p.Now) }

// relative says how far a time of a KDC is away, by the KDC's clock: "in 7 h 41 min"
// or "5 min ago".
func (p *Page) relative(t time.Time, offset int32) string {
	left := t.Sub(p.Now.Add(time.Duration(offset) * time.Second))
	if left >= 0 {
		return "in " + words.Duration(left)
	}
	return words.Duration(-left) + " ago"
}

// when returns a time of a KDC, and how far it is away: "18:42 (in 7 h 41 min)".
func (p *Page) when(t time.Time, offset int32) string {
	if t.IsZero() {
		return "-"
	}
	return p.clock(t) + " (" + p.relative(t, offset) + ")"
}

// unix returns the time that a number of seconds in JSON stands for.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
