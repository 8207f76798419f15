package ccache

import "time"

// A State says of what use a ticket is at a moment. Its text is what D-Bus and
// "kcmd dump" show.
type State string

// The states of a ticket, in the order in which it goes through them.
const (
	NotYetValid State = "not-yet-valid" // flagged invalid, and its start time has not come
	Invalid     State = "invalid"       // flagged so: a postdated ticket that must be validated
	Valid       State = "valid"
	Expiring    State = "expiring" // valid, but not for long
	Expired     State = "expired"  // its end time has come
)

// States lists all states of a ticket.
var States = []State{NotYetValid, Invalid, Valid, Expiring, Expired}

// Start returns when c becomes valid: its start time, or the time of the initial
// authentication if it has none (RFC 4120, section 5.3).
func (c *Credential) Start() uint32 {
	if c.StartTime != 0 {
		return c.StartTime
	}
	return c.AuthTime
}

// Expires returns the end time of c by the KDC's clock (RFC 4120, section 5.3).
// It is false if c has none, as the credentials that gssproxy stores: such a
// credential never expires. Until when c is renewable does not count: an expired
// ticket cannot be renewed.
func (c *Credential) Expires() (time.Time, bool) {
	return time.Unix(int64(c.EndTime), 0), c.EndTime != 0
}

// State returns the state of c at a time of the KDC's clock. A start time that has not
// come makes only a ticket not yet valid that the KDC has flagged invalid, as in KIM: of
// any other, a clock that is slow is to blame. It is Expiring from
// warning before its end.
func (c *Credential) State(at time.Time, warning time.Duration) State {
	end, ends := c.Expires()
	switch {
	case ends && !at.Before(end):
		return Expired
	case c.Flags&FlagInvalid != 0 && at.Unix() < int64(c.Start()):
		return NotYetValid
	case c.Flags&FlagInvalid != 0:
		return Invalid
	case ends && !at.Before(end.Add(-warning)):
		return Expiring
	}
	return Valid
}

// IsExpired reports whether c has expired at a time of the KDC's clock.
func (c *Credential) IsExpired(at time.Time) bool { return c.State(at, 0) == Expired }

// NextChange returns the first time after at, by the KDC's clock, at which State
// with that warning may change. It is false if there is none.
func (c *Credential) NextChange(at time.Time, warning time.Duration) (time.Time, bool) {
	end, ends := c.Expires()
	var next time.Time
	consider := func(t time.Time) {
		if t.After(at) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if c.Flags&FlagInvalid != 0 {
		consider(time.Unix(int64(c.Start()), 0))
	}
	if ends {
		consider(end.Add(-warning))
		consider(end)
	}
	return next, !next.IsZero()
}
