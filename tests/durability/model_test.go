package durability

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
)

const alice = "alice@KCMD.TEST"

// Holdings are what is stored of a client's caches. They are not changed once
// they were made.
type holdings struct {
	caches      map[string]cache // by name
	defaultName string           // "" where it is not looked at
}

// A cache is what a cache holds, marshalled.
type cache struct {
	principal string
	offset    int32
	creds     []string // in order
}

func (h holdings) equal(o holdings) bool {
	return h.defaultName == o.defaultName && maps.EqualFunc(h.caches, o.caches, func(a, b cache) bool {
		return a.principal == b.principal && a.offset == b.offset && slices.Equal(a.creds, b.creds)
	})
}

// String tells how much there is. Tickets have no names here.
func (h holdings) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "default %q", h.defaultName)
	for _, name := range slices.Sorted(maps.Keys(h.caches)) {
		c := h.caches[name]
		fmt.Fprintf(&b, ", %s of %d credentials (offset %d)", name, len(c.creds), c.offset)
	}
	return b.String()
}

// with returns holdings in which the cache of that name is this one.
func (h holdings) with(name string, c cache) holdings {
	h.caches = maps.Clone(h.caches)
	h.caches[name] = c
	return h
}

func (h holdings) without(name string) holdings {
	h.caches = maps.Clone(h.caches)
	delete(h.caches, name)
	return h
}

// A change is a request that changes something.
type change struct {
	op    kcm.Opcode
	args  []byte
	after holdings // what it makes of what was there before
}

// A planner thinks of changes to its own caches, all of which the store should
// make.
type planner struct {
	rand    *rand.Rand
	names   []string
	deflt   bool // the default of the collection is this one's to change
	size    int  // of most tickets, in bytes
	most    int  // credentials in a cache
	serial  int  // of the last new credential
	version int  // of the last one that was made again
}

// next returns a change to make of now.
func (p *planner) next(now holdings) change {
	name := p.names[p.rand.IntN(len(p.names))]
	c, exists := now.caches[name]
	if !exists || len(c.creds) >= p.most {
		return p.initialize(now, name)
	}
	switch n := p.rand.IntN(100); {
	case n < 50:
		return p.store(now, name, p.newCredential())
	case n < 62 && len(c.creds) > 0:
		return p.storeAgain(now, name)
	case n < 72 && len(c.creds) > 0:
		return p.remove(now, name)
	case n < 82:
		return p.replace(now, name)
	case n < 86:
		return p.initialize(now, name)
	case n < 90:
		return p.move(now, name)
	case n < 93:
		return p.destroy(now, name)
	case n < 96 && p.deflt:
		return p.setDefault(now, name)
	default:
		return p.setOffset(now, name)
	}
}

func (p *planner) initialize(now holdings, name string) change {
	principal := storetest.Principal(alice).Append(nil)
	return change{
		op:    kcm.OpInitialize,
		args:  append(named(name), principal...),
		after: now.with(name, cache{principal: string(principal)}),
	}
}

func (p *planner) store(now holdings, name string, cred string) change {
	c := now.caches[name]
	c.creds = append(slices.Clone(c.creds), cred)
	return change{op: kcm.OpStore, args: append(named(name), cred...), after: now.with(name, c)}
}

// storeAgain stores a ticket for a server for which there is one, in whose
// place it comes.
func (p *planner) storeAgain(now holdings, name string) change {
	c := now.caches[name]
	i := p.rand.IntN(len(c.creds))
	p.version++
	old := parse(c.creds[i])
	old.Ticket = append(old.Ticket, fmt.Sprintf(" again %d", p.version)...)
	cred := string(old.Append(nil))
	c.creds = slices.Clone(c.creds)
	c.creds[i] = cred
	return change{op: kcm.OpStore, args: append(named(name), cred...), after: now.with(name, c)}
}

func (p *planner) remove(now holdings, name string) change {
	c := now.caches[name]
	i := p.rand.IntN(len(c.creds))
	match := ccache.Match{Server: &parse(c.creds[i]).Server}
	c.creds = slices.Delete(slices.Clone(c.creds), i, i+1)
	args := binary.BigEndian.AppendUint32(named(name), uint32(match.Flags))
	return change{op: kcm.OpRemoveCred, args: match.Append(args), after: now.with(name, c)}
}

func (p *planner) replace(now holdings, name string) change {
	c := cache{principal: now.caches[name].principal, offset: int32(p.rand.IntN(100))}
	for range p.rand.IntN(5) {
		c.creds = append(c.creds, p.newCredential())
	}
	args := binary.BigEndian.AppendUint32(named(name), uint32(c.offset))
	args = append(args, c.principal...)
	args = binary.BigEndian.AppendUint32(args, uint32(len(c.creds)))
	for _, cred := range c.creds {
		args = binary.BigEndian.AppendUint32(args, uint32(len(cred)))
		args = append(args, cred...)
	}
	return change{op: kcm.OpReplace, args: args, after: now.with(name, c)}
}

func (p *planner) move(now holdings, from string) change {
	to := p.names[p.rand.IntN(len(p.names))]
	after := now
	if to != from {
		after = now.without(from).with(to, now.caches[from])
	}
	return change{op: kcm.OpMoveCache, args: append(named(from), named(to)...), after: after}
}

func (p *planner) destroy(now holdings, name string) change {
	return change{op: kcm.OpDestroy, args: named(name), after: now.without(name)}
}

func (p *planner) setDefault(now holdings, name string) change {
	after := now
	after.defaultName = name
	return change{op: kcm.OpSetDefaultCache, args: named(name), after: after}
}

func (p *planner) setOffset(now holdings, name string) change {
	c := now.caches[name]
	c.offset++
	args := binary.BigEndian.AppendUint32(named(name), uint32(c.offset))
	return change{op: kcm.OpSetKDCOffset, args: args, after: now.with(name, c)}
}

// newCredential makes a ticket for a server that no other has.
func (p *planner) newCredential() string {
	p.serial++
	c := storetest.Ticket(alice, fmt.Sprintf("host/server%d.kcmd.test@KCMD.TEST", p.serial))
	size := p.size/2 + p.rand.IntN(p.size)
	for len(c.Ticket) < size {
		c.Ticket = binary.BigEndian.AppendUint64(c.Ticket, p.rand.Uint64())
	}
	return string(c.Append(nil))
}

// parse takes apart a credential that newCredential has made.
func parse(cred string) *ccache.Credential {
	c, err := ccache.ParseCredential([]byte(cred))
	if err != nil {
		panic(err)
	}
	return c
}

func named(name string) []byte { return kcm.AppendName(nil, name) }
