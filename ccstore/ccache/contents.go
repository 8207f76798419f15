package ccache

import (
	"bytes"
	"time"
)

// Contents are what a cache holds, in whatever store it is.
type Contents struct {
	Principal    Principal
	KDCOffset    int32         // seconds to add to the local clock to get the KDC's
	Microseconds int32         // of the KDC offset; the KCM protocol has none
	Credentials  []*Credential // with the configuration entries, in the order of storing
}

// Tickets returns the number of credentials that are not configuration entries.
func (c *Contents) Tickets() int {
	n := 0
	for _, cred := range c.Credentials {
		if !cred.IsConfig() {
			n++
		}
	}
	return n
}

// End returns the end of the TGT that ends last, or where there is no TGT, of the
// ticket that ends last. It is false if there is no such ticket, or one without an end.
func (c *Contents) End() (time.Time, bool) {
	var end uint32
	var tgt bool
	for _, cred := range c.Credentials {
		switch {
		case cred.IsConfig() || tgt && !cred.IsTGT():
		case cred.EndTime == 0:
			return time.Time{}, false
		case cred.IsTGT() && !tgt:
			tgt, end = true, cred.EndTime
		default:
			end = max(end, cred.EndTime)
		}
	}
	return time.Unix(int64(end), 0), end != 0
}

// IsEmpty reports whether there is nothing but settings of libkrb5.
func (c *Contents) IsEmpty() bool {
	for _, cred := range c.Credentials {
		if cred.Server.Realm != configRealm {
			return false
		}
	}
	return true
}

// IsExpired reports whether there are tickets, and all have expired at a time of the local
// clock.
func (c *Contents) IsExpired(now time.Time) bool {
	now = now.Add(time.Duration(c.KDCOffset) * time.Second)
	for _, cred := range c.Credentials {
		if !cred.IsConfig() && !cred.IsExpired(now) {
			return false
		}
	}
	return c.Tickets() > 0
}

// Equal reports whether two caches have the same principal, offset in seconds, and
// credentials, byte by byte and in the same order.
func (c *Contents) Equal(d *Contents) bool {
	if !c.Principal.Equal(d.Principal) || c.KDCOffset != d.KDCOffset || len(c.Credentials) != len(d.Credentials) {
		return false
	}
	for i, cred := range c.Credentials {
		if !bytes.Equal(cred.Bytes(), d.Credentials[i].Bytes()) {
			return false
		}
	}
	return true
}

// Holds reports whether c has the principal and each credential of d, in any order.
func (c *Contents) Holds(d *Contents) bool {
	if !c.Principal.Equal(d.Principal) {
		return false
	}
	held := make(map[string]bool, len(c.Credentials))
	for _, cred := range c.Credentials {
		held[string(cred.Bytes())] = true
	}
	for _, cred := range d.Credentials {
		if !held[string(cred.Bytes())] {
			return false
		}
	}
	return true
}
