package ccstore

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Renewal says how the renewal of the TGT in a cache goes. All but Off is about one
// ticket, and void once the cache has another TGT.
type Renewal struct {
	Off      bool      `json:"off,omitempty"`      // the owner does not want it
	Ticket   uuid.UUID `json:"ticket,omitzero"`    // which ticket the rest is about
	Next     int64     `json:"next,omitempty"`     // when it is due, by the local clock in seconds since 1970; 0: as planned; Never
	Failures int       `json:"failures,omitempty"` // in a row
	Reason   string    `json:"reason,omitempty"`   // of the last failure: a name
	Text     string    `json:"text,omitempty"`     // of the last failure, for people
}

// TGTRenewal returns the Renewal as far as it is about the present TGT.
func (c *Cache) TGTRenewal() Renewal {
	if tgt := c.TGT(); tgt == nil || c.renewal.Ticket != tgt.UUID {
		return Renewal{Off: c.renewal.Off}
	}
	return c.renewal
}

// Renewable reports whether the KDC may give a TGT in exchange for a ticket that ends
// later than that. When the ticket has expired, it may not any more.
func Renewable(cred *ccache.Credential) bool {
	return cred.IsTGT() && cred.Flags&ccache.FlagRenewable != 0 && cred.Flags&ccache.FlagInvalid == 0 &&
		cred.EndTime != 0 && cred.RenewTill > cred.EndTime
}

// RenewalDue returns when the renewal of the TGT is due, by the local clock. It is
// false if the TGT is not to be renewed.
func (c *Cache) RenewalDue() (time.Time, bool) {
	at := c.renewalDue()
	return time.Unix(at, 0), at != Never
}

// renewalDue returns the same in seconds since 1970, or Never. It is planned at half of
// the life of the ticket, and up to a tenth of the life earlier, so that tickets that
// came at the same time are not due at the same time.
func (c *Cache) renewalDue() int64 {
	tgt := c.TGT()
	if tgt == nil || c.renewal.Off || !Renewable(tgt.Credential) {
		return Never
	}
	if r := c.TGTRenewal(); r.Next != 0 {
		return r.Next
	}
	life := max(0, int64(tgt.EndTime)-int64(tgt.Start()))
	early := int64(binary.BigEndian.Uint16(tgt.UUID[14:])) * (life / 10) >> 16 // these bytes are random
	return c.localTime(int64(tgt.Start()) + life/2 - early)
}

// encode returns the Renewal as a backend keeps it.
func (r Renewal) encode() string {
	if r == (Renewal{}) {
		return ""
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("a renewal is not encoded: " + err.Error())
	}
	return string(b)
}

// readRenewal returns an encoded Renewal. One of a later version of kcmd is as good as
// none: the KDC is asked again.
func readRenewal(s string) (r Renewal) {
	if s != "" && json.Unmarshal([]byte(s), &r) != nil {
		return Renewal{}
	}
	return r
}

// SetAutoRenew says whether the TGT of a cache is to be renewed. It fails with
// ErrNoCache.
func (tx *Tx) SetAutoRenew(name string, on bool) error {
	cache, err := tx.Cache(name)
	if err != nil || cache.renewal.Off == !on {
		return err
	}
	tx.setRenewal(cache, Renewal{Off: !on})
	return nil
}

// SetRenewal says how the renewal of a TGT goes, which is r.Ticket. It fails with
// ErrNoCache, and with ErrNoCredential if the cache has another TGT.
func (tx *Tx) SetRenewal(id uuid.UUID, r Renewal) error {
	cache, err := tx.cacheWithTGT(id, r.Ticket)
	if err == nil {
		r.Off = cache.renewal.Off
		tx.setRenewal(cache, r)
	}
	return err
}

// setRenewal leaves the time of the last change as it is: the contents do not change.
func (tx *Tx) setRenewal(old *Cache, r Renewal) {
	cache := tx.writeCache(old)
	cache.renewal = r
	changed := cache.Changed
	tx.putCache(cache)
	cache.Changed = changed
	tx.changed(cache)
}

// Renew puts a TGT in the place of the TGT old of a cache. Everything else in the
// collection stays. It fails with ErrNoCache, and with ErrNoCredential if the cache has
// another TGT by now: what a client did last counts.
func (tx *Tx) Renew(id, old uuid.UUID, next *ccache.Credential) (*Credential, error) {
	cache, err := tx.cacheWithTGT(id, old)
	if err != nil {
		return nil, err
	}
	former := cache.TGT()
	cache = tx.writeCache(cache)
	cache.renewal = Renewal{Off: cache.renewal.Off}
	tx.storeInPlace(cache, next, former)
	tx.putCache(cache)
	return cache.TGT(), nil
}

// cacheWithTGT returns a cache whose TGT is that ticket.
func (tx *Tx) cacheWithTGT(id, ticket uuid.UUID) (*Cache, error) {
	cache, err := tx.CacheByUUID(id)
	if err != nil {
		return nil, err
	}
	if tgt := cache.TGT(); tgt == nil || tgt.UUID != ticket {
		return nil, ErrNoCredential
	}
	return cache, nil
}

// storeInPlace puts a copy of c in the place of a credential of a cache of ours. Another
// credential that it replaces goes.
func (tx *Tx) storeInPlace(cache *Cache, c *ccache.Credential, former *Credential) {
	cred := tx.newCopy(c, former.seq)
	if other := cache.replacedBy(cred); other != nil && other != former {
		tx.drop(cache, other, Replaced)
	}
	tx.put(cache, cred)
}
