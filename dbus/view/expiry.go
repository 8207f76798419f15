package view

import "github.com/google/uuid"

// Expiries holds the last stage that was announced of each TGT, by the UUID of
// the credential. Each stage is announced once, and never again if the clock is
// set back.
type Expiries map[uuid.UUID]stage

type stage int

const (
	stageBefore stage = iota
	stageExpiring
	stageExpired
)

// stageOf returns the stage of a TGT in that state.
func stageOf(state string) stage {
	switch state {
	case "expiring":
		return stageExpiring
	case "expired":
		return stageExpired
	}
	return stageBefore
}

// DiffExpiry returns TicketExpiring and TicketExpired for the TGTs that reached
// that stage between before and after, and what is announced then. A TGT that
// was stored since begins at its present stage.
func DiffExpiry(announced Expiries, before, after Collection) (Expiries, []Signal) {
	next := make(Expiries)
	var list []Signal
	for _, cache := range after.Caches() {
		tgt := cache.TGT()
		if tgt == nil {
			continue
		}
		now := stageOf(cache.ticketState(tgt))
		last, known := announced[tgt.UUID]
		if !known {
			last = now
			if was, err := before.CacheByUUID(cache.UUID); err == nil && was.TGT() != nil && was.TGT().UUID == tgt.UUID {
				last = stageOf(was.ticketState(tgt))
			}
		}
		if now > last {
			list = append(list, cache.expirySignal(now))
		}
		next[tgt.UUID] = max(now, last)
	}
	return next, list
}

// expirySignal returns the signal that the cache's TGT reached a stage.
func (c Cache) expirySignal(s stage) Signal {
	tgt := c.TGT()
	if s == stageExpiring {
		return c.signal("TicketExpiring", c.describe(tgt), uint32(int64(tgt.EndTime)-c.kdcTime()))
	}
	return c.signal("TicketExpired", c.describe(tgt))
}
