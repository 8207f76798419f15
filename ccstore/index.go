package ccstore

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A cache has three indexes of its credentials: by sequence number, by server and,
// of tickets, by end. Copies of a tree share what they do not change; each update
// copies the nodes on its way.

// A serverKey is where a credential is in the index by server. Those with equal keys
// most likely, but not certainly, replace one another.
type serverKey struct {
	name uint64 // hash of the server's name
	rest uint64 // hashes of the server's realm, and of what else counts for replacing
}

// Masks of serverKey.rest.
const (
	anyRealm   uint64 = 0
	oneServer  uint64 = math.MaxUint32 << 32
	sameTicket uint64 = math.MaxUint64
)

func newServerKey(server *ccache.Principal, replaceHash uint32) serverKey {
	return serverKey{server.NameHash(), uint64(server.RealmHash())<<32 | uint64(replaceHash)}
}

// A serverEntry is an item of the index by server.
type serverEntry struct {
	serverKey
	seq  uint64
	cred *Credential
}

func (c *Credential) serverEntry() serverEntry { return serverEntry{c.server, c.seq, c} }

func newServerIndex() *btree.BTreeG[serverEntry] {
	return newIndex(func(a, b serverEntry) bool {
		if a.name != b.name {
			return a.name < b.name
		}
		if a.rest != b.rest {
			return a.rest < b.rest
		}
		return a.seq < b.seq
	})
}

// withServer yields the credentials whose keys are key as far as mask has it, in
// any order, and as good as never others.
func (c *Cache) withServer(key serverKey, mask uint64) iter.Seq[*Credential] {
	key.rest &= mask
	return func(yield func(*Credential) bool) {
		c.byServer.Ascend(serverEntry{serverKey: key}, func(e serverEntry) bool {
			e.rest &= mask
			return e.serverKey == key && yield(e.cred)
		})
	}
}

// A ticketKind says where in the index by end a credential belongs.
type ticketKind uint8

const (
	noTicket ticketKind = iota // a configuration entry: nowhere
	service                    // any ticket but a TGT
	tgt
)

func kindOf(c *ccache.Credential) ticketKind {
	switch {
	case c.IsConfig():
		return noTicket
	case c.IsTGT():
		return tgt
	}
	return service
}

// newEndIndex returns an index of tickets: service tickets first, of each kind the
// first to expire first, and of those that expire together the first stored.
func newEndIndex() *btree.BTreeG[*Credential] {
	return newIndex(func(a, b *Credential) bool {
		if a.kind != b.kind {
			return a.kind < b.kind
		}
		if a.end != b.end {
			return a.end < b.end
		}
		return a.seq < b.seq
	})
}

// Where each kind begins in an index by end.
var (
	firstService = &Credential{kind: service, end: math.MinInt64}
	firstTGT     = &Credential{kind: tgt, end: math.MinInt64}
)

// A position is a place in an index by end, with or without a service ticket.
type position struct {
	end int64
	seq uint64
}

// from yields the tickets of an index from first on.
func from(index *btree.BTreeG[*Credential], first *Credential) iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) { index.Ascend(first, yield) }
}

// TGT returns the ticket-granting ticket that the cache depends on
// (ccache.Credential.IsTGT): of several the one that expires last, a postdated one that
// is not validated only if there is no other. It is nil if there is none.
func (c *Cache) TGT() (best *Credential) {
	last, ok := c.byEnd.Max()
	if !ok || last.kind != tgt {
		return nil
	}
	best = last
	if last.Flags&ccache.FlagInvalid != 0 {
		c.byEnd.Descend(last, func(cred *Credential) bool {
			if cred.kind == tgt && cred.Flags&ccache.FlagInvalid == 0 {
				best = cred
			}
			return cred.kind == tgt && best == last
		})
	}
	return best
}

// lastService returns the service ticket that expires last, or nil.
func (c *Cache) lastService() (last *Credential) {
	c.byEnd.Descend(firstTGT, func(cred *Credential) bool {
		last = cred
		return false
	})
	return last
}

// newIndex returns a tree of small nodes.
func newIndex[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: degree})
}

// degree is half of the items in a full node.
const degree = 6

// The UUID of a credential has its sequence number in the first 48 bits, the rest is
// random (RFC 9562, version 8): no index by UUID is necessary. Other UUIDs, of
// earlier versions of kcmd, are in Cache.strays.
const seqBytes = 6

func newCredentialUUID(seq uint64) uuid.UUID {
	id := uuid.New()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seq)
	copy(id[:seqBytes], b[8-seqBytes:])
	id[6] = id[6]&0x0f | 0x80
	return id
}

// seqIn returns the sequence number of the credential with that UUID, unless it is
// a stray.
func seqIn(id uuid.UUID) uint64 { return binary.BigEndian.Uint64(id[:8]) >> (64 - 8*seqBytes) }
