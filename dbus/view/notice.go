package view

import (
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// NoticeSignals returns the signals for the notices about TGTs of c.
func NoticeSignals(c Collection, notices []ccstore.Notice) []Signal {
	var list []Signal
	for _, n := range notices {
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
			list = append(list, cache.signal("TicketExpiring", cache.describe(tgt), uint32(left.Seconds())))
		case ccache.Expired:
			list = append(list, cache.signal("TicketExpired", cache.describe(tgt)))
		}
	}
	return list
}
