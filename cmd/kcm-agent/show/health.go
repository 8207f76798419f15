package show

import "time"

// A health says what is wrong with a cache, the worst last.
type health int

const (
	idle      health = iota // no TGT: nothing that can end
	good                    // valid, or renewed by itself
	soon                    // ends soon, and does not renew itself
	unrenewed               // cannot be renewed, though it should be
	ended
)

// staleAfter is how long after the end of a ticket its user is still told.
const staleAfter = 12 * time.Hour

// health judges a cache, and returns the warning that applies to it, 0 for none.
func (w *World) health(c *Cache) (h health, warning time.Duration) {
	if c.EndTime.IsZero() {
		return idle, 0
	}
	left := c.EndTime.Sub(w.now(c))
	keytab := !c.RefreshTime.IsZero()
	switch {
	case left <= 0 && !keytab:
		return ended, 0
	case keytab || c.RenewalState == "planned":
		return good, 0
	}
	if c.RenewalError != "" {
		h = unrenewed
	} else {
		h = good
	}
	for _, before := range w.Settings.Warnings {
		// A ticket that never had so much time left is no news.
		if left <= before && c.EndTime.Sub(c.StartTime) > before && (warning == 0 || before < warning) {
			warning = before
		}
	}
	if warning > 0 && h == good {
		h = soon
	}
	return h, warning
}

// replaced reports whether another cache has a valid TGT of the same client.
func (w *World) replaced(c *Cache) bool {
	for i := range w.Caches {
		o := &w.Caches[i]
		if o.Path != c.Path && o.ClientPrincipal == c.ClientPrincipal && o.EndTime.After(w.now(o)) && o.EndTime.After(c.EndTime) {
			return true
		}
	}
	return false
}

// Next returns when notifications or the icon change though nothing happens, the zero
// time for never.
func (w *World) Next() time.Time {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(w.Now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for i := range w.Caches {
		c := &w.Caches[i]
		if !c.EndTime.IsZero() {
			end := Local(&c.Cache, c.EndTime)
			consider(end)
			consider(end.Add(staleAfter))
			for _, before := range w.Settings.Warnings {
				consider(end.Add(-before))
			}
		}
		if !c.PasswordExpires.IsZero() {
			end := Local(&c.Cache, c.PasswordExpires)
			consider(end)
			consider(end.Add(-passwordDay))
			consider(end.Add(-w.Settings.Password))
		}
	}
	return next
}

// NextText returns when a text of the menu changes though nothing happens.
func (w *World) NextText() time.Time {
	next := w.Next()
	for i := range w.Caches {
		c := &w.Caches[i]
		if c.EndTime.IsZero() {
			continue
		}
		// The text has minutes, and seconds in the last one and in the first after it.
		step, left := time.Minute, Local(&c.Cache, c.EndTime).Sub(w.Now)
		if left < time.Minute && left > -time.Minute {
			step = time.Second
		}
		until := left % step
		if until <= 0 {
			until += step
		}
		if t := w.Now.Add(until + time.Millisecond); next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next
}
