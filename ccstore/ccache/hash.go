package ccache

import (
	"encoding/binary"
	"hash/maphash"
)

// Hashes are for indexes in memory. They have a random seed, so that no client can
// choose names that share one.
var hashSeed = maphash.MakeSeed()

// A hasher hashes fields. It hashes their lengths too, so that moving a byte from
// one field to the next changes the hash.
type hasher struct{ maphash.Hash }

func newHasher() *hasher {
	h := new(hasher)
	h.SetSeed(hashSeed)
	return h
}

func (h *hasher) number(n int) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h *hasher) bytes(b []byte) {
	h.number(len(b))
	h.Write(b)
}

func (h *hasher) text(s string) {
	h.number(len(s))
	h.WriteString(s)
}

func (h *hasher) name(p *Principal) {
	h.number(len(p.Components))
	for _, c := range p.Components {
		h.text(c)
	}
}

// NameHash returns a number that two principals share if EqualName holds, and
// others as good as never.
func (p *Principal) NameHash() uint64 {
	h := newHasher()
	h.name(p)
	return h.Sum64()
}

// RealmHash returns a number that equal realms share, and others as good as never.
func (p *Principal) RealmHash() uint32 { return uint32(maphash.String(hashSeed, p.Realm)) }

// ReplaceHash returns a number that credentials for one server share if they
// replace one another, and others as good as never.
func (c *Credential) ReplaceHash() uint32 {
	if c.IsConfig() {
		return 0
	}
	h := newHasher()
	h.name(&c.Client)
	h.text(c.Client.Realm)
	h.bytes(c.SecondTicket)
	h.number(len(c.AuthData))
	for _, a := range c.AuthData {
		h.number(int(a.Type))
		h.bytes(a.Data)
	}
	isSKey := 0
	if c.IsSKey != 0 {
		isSKey = 1
	}
	h.number(isSKey)
	h.number(int(c.Key.Type))
	return uint32(h.Sum64())
}
