package view

import (
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/introspection"
)

// NoticeSignals returns the signals for the notices about c and its TGTs.
func NoticeSignals(c Collection, notices []ccstore.Notice) []Signal {
	var list []Signal
	for _, n := range notices {
		if n.Kind == ccstore.SignInWanted {
			list = append(list, c.signInWanted(n))
			continue
		}
		cache, err := c.CacheByUUID(n.Cache)
		if err != nil || n.Again || cache.TGT() == nil || cache.TGT().UUID != n.Credential.UUID {
			continue // destroyed, or announced before
		}
		if n.Kind != ccstore.StateReached {
			list = append(list, cache.renewalSignal(n))
			continue
		}
		switch tgt := cache.TGT(); n.State {
		case ccache.Expiring:
			end, _ := tgt.Expires()
			left := max(0, end.Sub(cache.kdcTime()))
			list = append(list, cache.signal(aboutExpiry, "TicketExpiring", cache.describe(tgt), uint32(left.Seconds())))
		case ccache.Expired:
			list = append(list, cache.signal(aboutExpiry, "TicketExpired", cache.describe(tgt)))
		}
	}
	return list
}

// signInWanted returns the signal of a process whose user has to sign in. Others do not
// get it, whatever they may see: it tells what a user does.
func (c Collection) signInWanted(n ccstore.Notice) Signal {
	return Signal{Path: c.Path(), Interface: introspection.Collection.Name, Member: "SignInWanted",
		Body: []any{uint32(n.PID), Text(n.Server), string(n.Want)}, uid: c.UID(), to: ownerOnly}
}
