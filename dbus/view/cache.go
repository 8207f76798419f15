package view

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// A Cache is a cache of a collection.
type Cache struct {
	*ccstore.Cache
	in Collection
}

// Path returns the object path.
func (c Cache) Path() Path { return CachePath(c.in.UID(), c.UUID) }

// name returns the name that KRB5CCNAME takes.
func (c Cache) name() string { return Text("KCM:" + c.Name) }

// IsDefault reports whether c is the default cache of its collection.
func (c Cache) IsDefault() bool { return c.in.Default() == c.Cache }

// kdcTime returns the time of the KDC's clock at the time of the view: times in
// tickets are by that clock.
func (c Cache) kdcTime() time.Time { return c.KDCTime(c.in.at) }

// never is the end of a TGT that has none.
const never = ccstore.Never

// tgtEnd returns the end of the TGT by the KDC's clock in seconds since 1970, or
// never; 0 without TGT.
func (c Cache) tgtEnd() int64 {
	tgt := c.TGT()
	if tgt == nil {
		return 0
	}
	if end, ok := tgt.Expires(); ok {
		return end.Unix()
	}
	return never
}

// state returns the state of the cache: "empty", "no-tgt", or that of its TGT.
func (c Cache) state() string {
	if c.Principal.Realm == "" && len(c.Principal.Components) == 0 {
		return "empty"
	}
	tgt := c.TGT()
	if tgt == nil {
		return "no-tgt"
	}
	return c.ticketState(tgt)
}

// Properties returns the properties of the interface Cache.
func (c Cache) Properties() map[string]any {
	p := map[string]any{
		"Name":            c.name(),
		"UUID":            c.UUID.String(),
		"Type":            "KCM",
		"Collection":      c.in.Path(),
		"ClientPrincipal": principal(c.Principal),
		"Realm":           Text(c.Principal.Realm),
		"State":           c.state(),
		"IsDefault":       c.IsDefault(),
		"AuthTime":        int64(0),
		"StartTime":       int64(0),
		"EndTime":         int64(0),
		"LastEndTime":     int64(0),
		"RenewUntil":      int64(0),
		"Flags":           []string{},
		"KdcOffset":       c.KDCOffset,
		"TicketCount":     uint32(c.Tickets()),
		"LastChanged":     c.Changed.Unix(),
	}
	c.addRenewal(p)
	c.addOrigin(p)
	if end, ok := c.Expires(); ok {
		p["LastEndTime"] = c.KDCTime(end).Unix()
	}
	if tgt := c.TGT(); tgt != nil {
		p["AuthTime"] = int64(tgt.AuthTime)
		p["StartTime"] = int64(tgt.Start())
		p["EndTime"] = int64(tgt.EndTime)
		p["RenewUntil"] = renewUntil(tgt)
		p["Flags"] = tgt.Flags.Names()
	}
	return p
}

// Estimate returns roughly how many bytes the cache takes in a message.
func (c Cache) Estimate() int {
	return 1<<10 + len(c.name()) + len(principal(c.Principal)) + len(Text(c.Principal.Realm))
}

// HasClient reports whether the client of the cache is the principal that a
// caller asks for.
func (c Cache) HasClient(wanted string) bool { return matches(c.Principal, wanted) }

// matches reports whether p is what a caller asks for: a name as klist prints it,
// with or without realm; "" is any, "*@REALM" any of a realm.
func matches(p ccache.Principal, wanted string) bool {
	if wanted == "" || wanted == principal(p) {
		return true
	}
	short := beginning(p)
	name, realm := ccache.Principal{Components: short.Components}, ccache.Principal{Realm: short.Realm}
	return wanted == Text(strings.TrimSuffix(name.String(), "@")) || wanted == Text("*"+realm.String())
}

// ByExpiry orders caches: default ones first, then the one whose TGT expires last.
func ByExpiry(a, b Cache) int {
	if a.IsDefault() != b.IsDefault() {
		if a.IsDefault() {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.tgtEnd(), a.tgtEnd())
}

// principal returns p as klist prints it, "" if it is not set. It takes the same
// time for a principal of megabytes, of which Text shows only the beginning.
func principal(p ccache.Principal) string {
	if p.Realm == "" && len(p.Components) == 0 {
		return ""
	}
	return Text(beginning(p).String())
}

// beginning returns p without what Text cuts off in any case.
func beginning(p ccache.Principal) ccache.Principal {
	room := MaxText + utf8.UTFMax
	short := ccache.Principal{Realm: p.Realm[:min(len(p.Realm), room)]}
	for _, c := range p.Components {
		if room <= 0 {
			break
		}
		c = c[:min(len(c), room)]
		room -= len(c) + 1 // and the separator
		short.Components = append(short.Components, c)
	}
	return short
}
