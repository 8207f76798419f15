package durability

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/tests/model"
)

const alice = "alice@KCMD.TEST"

// A planner chooses random changes to its own caches, all of which the server
// should accept.
type planner struct {
	rand       *rand.Rand
	names      []string
	hasDefault bool // may set the default cache of its collection
	size       int  // of most tickets, in bytes
	most       int  // credentials in a cache
	serial     int  // of the last new credential
	version    int  // of the last changed credential
}

// next returns a change.
func (p *planner) next(now model.Model) model.Change {
	name := p.names[p.rand.IntN(len(p.names))]
	c := now.Caches[name]
	if !now.Has(name) || len(c.Creds) >= p.most {
		return now.Initialize(name, storetest.Principal(alice))
	}
	switch n := p.rand.IntN(100); {
	case n < 50:
		return now.Store(name, p.newCredential())
	case n < 62 && len(c.Creds) > 0:
		return now.Store(name, p.changed(p.one(c)))
	case n < 72 && len(c.Creds) > 0:
		return now.Remove(name, p.one(c).Server)
	case n < 82:
		return now.Replace(name, p.filled(c.Principal))
	case n < 86:
		return now.Initialize(name, storetest.Principal(alice))
	case n < 90:
		return now.Move(name, p.names[p.rand.IntN(len(p.names))])
	case n < 93:
		return now.Destroy(name)
	case n < 96 && p.hasDefault:
		return now.SetDefault(name)
	default:
		return now.SetOffset(name, c.Offset+1)
	}
}

// one returns a credential of a cache.
func (p *planner) one(c model.Cache) *ccache.Credential { return c.Creds[p.rand.IntN(len(c.Creds))] }

// changed returns another ticket for the same server.
func (p *planner) changed(old *ccache.Credential) *ccache.Credential {
	p.version++
	c := parse(old.Bytes())
	c.Ticket = append(c.Ticket, fmt.Sprintf(" again %d", p.version)...)
	return parse(c.Append(nil))
}

// parse returns the credential that a planner has made.
func parse(b []byte) *ccache.Credential {
	c, err := ccache.ParseCredential(b)
	if err != nil {
		panic(err)
	}
	return c
}

// filled returns a cache with a few tickets.
func (p *planner) filled(principal ccache.Principal) model.Cache {
	c := model.Cache{Principal: principal, Offset: int32(p.rand.IntN(100))}
	for range p.rand.IntN(5) {
		c = c.With(p.newCredential())
	}
	return c
}

// newCredential returns a ticket for a server of its own.
func (p *planner) newCredential() *ccache.Credential {
	p.serial++
	c := storetest.Ticket(alice, fmt.Sprintf("host/server%d.kcmd.test@KCMD.TEST", p.serial))
	size := p.size/2 + p.rand.IntN(p.size)
	for len(c.Ticket) < size {
		c.Ticket = binary.BigEndian.AppendUint64(c.Ticket, p.rand.Uint64())
	}
	return c
}
