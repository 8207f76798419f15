package dbus

import "github.com/google/uuid"

// expiries holds how far the TGTs of a collection have come on their way to
// their end, by the UUID of the credential. Each step is told of once, and never
// again if the clock is set back.
type expiries map[uuid.UUID]stage

type stage int

const (
	stageBefore stage = iota
	stageExpiring
	stageExpired
)

// stageOf returns how far a TGT has come whose state that is.
func stageOf(state string) stage {
	switch state {
	case "expiring":
		return stageExpiring
	case "expired":
		return stageExpired
	}
	return stageBefore
}

// expirySignals returns TicketExpiring and TicketExpired for the TGTs that have
// come to it between before, a mirror, and after, and what is then told. The TGT
// of a cache is the one that its State is about. One that was stored since
// begins where it is: whoever stored it knows, and whoever starts to listen has
// read it.
func expirySignals(before, after collection) (told expiries, list []signal) {
	told = make(expiries)
	for _, is := range after.caches() {
		tgt := is.TGT()
		if tgt == nil {
			continue
		}
		now := stageOf(is.ticketState(tgt))
		last, known := before.told[tgt.UUID]
		if !known {
			last = now
			if one, err := before.CacheByUUID(is.UUID); err == nil && one.TGT() != nil && one.TGT().UUID == tgt.UUID {
				last = stageOf(cache{one, before}.ticketState(tgt))
			}
		}
		if now > last {
			list = append(list, is.expirySignal(now))
		}
		told[tgt.UUID] = max(now, last)
	}
	return told, list
}

// expirySignal returns the signal that the cache's TGT has come to s.
func (c cache) expirySignal(s stage) signal {
	tgt := c.TGT()
	out := signal{path: c.path(), iface: cacheInterface.Name, body: []any{c.ticket(tgt)}, tickets: true}
	switch s {
	case stageExpiring:
		out.member = "TicketExpiring"
		out.body = append(out.body, uint32(int64(tgt.EndTime)-c.kdcTime()))
	case stageExpired:
		out.member = "TicketExpired"
	}
	return out
}
