package keyring

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/cckeyring"
)

// A collection is what the backend knows of one: what it last saw in the kernel, and what
// the kernel has no place for.
type collection struct {
	name        cckeyring.Name
	owner       ccstore.Owner
	kernel      *cckeyring.Collection // of the last scan
	revision    uint64
	foreign     uint64 // changes of other programs that were seen
	sum         uint64 // of all that the kernel keeps
	commits     []uuid.UUID
	primary     string // the primary cache in the kernel, "" if none was set
	defaultName string // "" if it was never set to another one than that of the uid
	caches      map[uint64]*cache
	nextID      uint64
}

// A cache is one of a collection. Of the record, the backend does not keep the
// deadlines.
type cache struct {
	record       ccstore.CacheRecord
	ring         int // its keyring, 0 if it is to be made
	microseconds int32
	nextSeq      uint64
	credentials  map[uint64]*credential // by sequence number
}

// A credential is one of a cache. Its Data are there during a call only.
type credential struct {
	record ccstore.CredentialRecord
	key    int    // 0 if it is to be made
	name   string // description of the key
	sum    uint64 // of the data
	size   int    // bytes of the data
	kind   kind
	start  uint32 // when the ticket begins
	ends   int64  // when it ends, by the KDC's clock in seconds since 1970; 0: never
}

// A kind of credentials, in the order in which a login stores them.
type kind int

const (
	config kind = iota
	tgt
	ticket
	damaged
)

func newCollection(owner ccstore.Owner, name cckeyring.Name) *collection {
	return &collection{name: name, owner: owner, caches: make(map[uint64]*cache), nextID: 1}
}

// seed makes the sums useless for others.
var seed = maphash.MakeSeed()

// newCredential returns a credential with what its data say of it.
func newCredential(data []byte) *credential {
	c := &credential{record: ccstore.CredentialRecord{Data: data}, sum: maphash.Bytes(seed, data), size: len(data), kind: damaged}
	cred, err := ccache.ParseCredential(data)
	if err != nil {
		return c
	}
	c.name, c.kind = cred.Server.String(), ticket
	switch {
	case cred.IsConfig():
		c.kind = config
		return c
	case cred.IsTGT():
		c.kind = tgt
	}
	c.start, c.ends = cred.Start(), int64(cred.EndTime)
	return c
}

// compare orders credentials that were stored in an unknown order.
func (c *credential) compare(d *credential) int {
	return cmp.Or(cmp.Compare(c.kind, d.kind), cmp.Compare(c.start, d.start), cmp.Compare(c.name, d.name), cmp.Compare(c.key, d.key))
}

// localEnd returns when the ticket ends by the local clock, 0 if it does not.
func (c *cache) localEnd(cred *credential) int64 {
	if cred.ends == 0 {
		return 0
	}
	return cred.ends - int64(c.record.KDCOffset)
}

// end returns when the keyring of the cache is to expire: with its last ticket. It is 0,
// for never, if a ticket has no end, or if all have expired: then the kernel would remove
// the cache at once, and the store knows better when.
func (c *cache) end(now int64) int64 {
	last := int64(0)
	for _, cred := range c.credentials {
		if cred.kind != tgt && cred.kind != ticket {
			continue
		}
		end := c.localEnd(cred)
		if end == 0 {
			return 0
		}
		last = max(last, end)
	}
	if last <= now {
		return 0
	}
	return last
}

// effectiveDefault returns the name of the default cache, which is that of the uid if
// none was set.
func (c *collection) effectiveDefault() string { return cmp.Or(c.defaultName, c.uid()) }

// inOrder returns the caches by their ids.
func (c *collection) inOrder() []*cache {
	return slices.SortedFunc(maps.Values(c.caches), func(a, b *cache) int { return cmp.Compare(a.record.ID, b.record.ID) })
}

func (c *cache) inOrder() []*credential {
	return slices.SortedFunc(maps.Values(c.credentials), func(a, b *credential) int { return cmp.Compare(a.record.Seq, b.record.Seq) })
}

// record returns the collection as a store knows it.
func (c *collection) record() *ccstore.Record {
	r := &ccstore.Record{Revision: c.revision, Commits: slices.Clone(c.commits), Default: c.defaultName}
	for _, cache := range c.inOrder() {
		r.Caches = append(r.Caches, cache.record)
		for _, cred := range cache.inOrder() {
			r.Credentials = append(r.Credentials, cred.record)
		}
	}
	return r
}

// forget drops the data, which are secrets and in the kernel.
func (c *collection) forget() {
	for _, cache := range c.caches {
		for _, cred := range cache.credentials {
			cred.record.Data = nil
		}
	}
}

// clone returns a copy to be changed.
func (c *collection) clone() *collection {
	d := *c
	d.caches = make(map[uint64]*cache, len(c.caches))
	for id, old := range c.caches {
		next := *old
		next.credentials = make(map[uint64]*credential, len(old.credentials))
		for seq, cred := range old.credentials {
			copied := *cred
			next.credentials[seq] = &copied
		}
		d.caches[id] = &next
	}
	return &d
}

// total returns a sum of all that the kernel keeps: it changes when anyone changes that.
func (c *collection) total() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	fmt.Fprintf(&h, "%q", c.effectiveDefault())
	caches := slices.SortedFunc(maps.Values(c.caches), func(a, b *cache) int { return cmp.Compare(a.record.Name, b.record.Name) })
	for _, cache := range caches {
		fmt.Fprintf(&h, "%q %d %q %d", cache.record.Name, cache.ring, cache.record.Principal, cache.record.KDCOffset)
		keys := slices.SortedFunc(maps.Values(cache.credentials), func(a, b *credential) int { return cmp.Compare(a.key, b.key) })
		for _, cred := range keys {
			fmt.Fprintf(&h, " %d:%x", cred.key, cred.sum)
		}
	}
	return h.Sum64()
}

// keyBytes is what the kernel takes of a quota for a key besides its payload, about.
const keyBytes = 64

func (c *collection) size() (n int64) {
	for _, cache := range c.caches {
		n += int64(3*keyBytes + len(cache.record.Name) + len(cache.record.Principal))
		for _, cred := range cache.credentials {
			n += int64(keyBytes + len(cred.name) + cred.size)
		}
	}
	return n
}

func (c *collection) quarantined() (n int) {
	for _, cache := range c.caches {
		if cache.record.Quarantined != "" {
			n++
		}
		for _, cred := range cache.credentials {
			if cred.record.Quarantined != "" {
				n++
			}
		}
	}
	return n
}

// sameAttributes reports whether c and d differ at most in their credentials.
func (c *cache) sameAttributes(d *cache) bool {
	return c.record.Name == d.record.Name && c.record.KDCOffset == d.record.KDCOffset && bytes.Equal(c.record.Principal, d.record.Principal)
}
