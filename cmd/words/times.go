package words

import (
	"fmt"
	"time"
)

// Day is for durations: a day with a change to or from summer time is rounded.
const Day = 24 * time.Hour

// Duration returns a positive duration in its two largest units: "7 h 41 min".
func Duration(d time.Duration) string {
	switch {
	case d >= Day:
		return units(d, Day, "d", time.Hour, "h")
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

// Clock returns a time in the zone of now: "18:42" today, "27 Nov 18:42" in this year,
// else with the year. "-" stands for no time.
func Clock(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(now.Location())
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}
