package render

import (
	"fmt"
	"time"
)

// day is for durations: a day with a change to or from summer time is rounded.
const day = 24 * time.Hour

// duration returns a positive duration in its two largest units: "7 h 41 min".
func duration(d time.Duration) string {
	switch {
	case d >= day:
		return units(d, day, "d", time.Hour, "h")
	case d >= time.Hour:
		return units(d, time.Hour, "h", time.Minute, "min")
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

func units(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// clock returns a time in the zone of the page: "18:42" today, "27 Nov 18:42" in
// this year, else with the year. "-" stands for no time.
func (p *Page) clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(p.Now.Location())
	switch {
	case t.YearDay() == p.Now.YearDay() && t.Year() == p.Now.Year():
		return t.Format("15:04")
	case t.Year() == p.Now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// relative says how far a time of a KDC is away, by the KDC's clock: "in 7 h 41 min"
// or "5 min ago".
func (p *Page) relative(t time.Time, offset int32) string {
	left := t.Sub(p.Now.Add(time.Duration(offset) * time.Second))
	if left >= 0 {
		return "in " + duration(left)
	}
	return duration(-left) + " ago"
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
