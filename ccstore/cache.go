package ccstore

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Cache is a snapshot of one credential cache. Its fields must not be
// assigned to.
type Cache struct {
	UUID      uuid.UUID        // stays through Initialize and Replace
	Name      string           // the residual: what follows "KCM:"
	Principal ccache.Principal // the client
	KDCOffset int32            // seconds to add to the local clock to get the KDC's
	Label     string           // SELinux label of its creator, "" without SELinux
	Changed   time.Time        // when the contents last changed, in whole seconds

	renewal     Renewal
	id          uint64 // in the collection
	nextSeq     uint64 // of the next credential
	bytes       int64  // sum of Credential.size
	quarantined int    // credentials that are kept but not in use

	bySeq    *btree.Map[uint64, *Credential]
	byServer *btree.BTreeG[serverEntry]
	byEnd    *btree.BTreeG[*Credential]
	strays   *btree.Map[string, *Credential] // by UUID; nil is none
	hand     position                        // in byEnd: the next eviction begins here

	draft uint64 // the id of the draft whose copy this is
	isPut bool   // the ops of that draft put it
}

// A Credential is a credential in a cache, with the bytes that a client stored.
type Credential struct {
	*ccache.Credential
	UUID uuid.UUID // stays until the credential is removed or replaced

	seq    uint64 // place in the order of storing
	server serverKey
	kind   ticketKind
	end    int64       // by the KDC's clock in seconds since 1970, or Never
	used   atomic.Bool // by a client since an eviction last passed it; not kept by backends
	draft  uint64      // the id of the draft that stored it
}

func newCredential(c *ccache.Credential, id uuid.UUID, seq uint64) *Credential {
	return &Credential{
		Credential: c, UUID: id, seq: seq,
		server: newServerKey(&c.Server, c.ReplaceHash()), kind: kindOf(c), end: endOf(c),
	}
}

// Use notes that a client used the credential. It is then kept longer when room
// must be made.
func (c *Credential) Use() {
	if !c.used.Load() { // most often it is: do not write to memory that others read
		c.used.Store(true)
	}
}

func newCache(id uint64, u uuid.UUID, name string) *Cache {
	c := &Cache{UUID: u, Name: name, id: id, nextSeq: 1}
	c.clear()
	return c
}

// clear removes all credentials. Sequence numbers go on.
func (c *Cache) clear() {
	c.bySeq = btree.NewMap[uint64, *Credential](degree)
	c.byServer, c.byEnd, c.strays = newServerIndex(), newEndIndex(), nil
	c.hand, c.bytes, c.quarantined = position{}, 0, 0
}

// clone returns a copy of the cache for a draft.
func (c *Cache) clone(draft uint64) *Cache {
	d := *c
	d.bySeq, d.byServer, d.byEnd = c.bySeq.Copy(), c.byServer.Copy(), c.byEnd.Copy()
	if c.strays != nil {
		d.strays = c.strays.Copy()
	}
	d.draft, d.isPut = draft, false
	return &d
}

// Len returns the number of credentials, configuration entries among them.
func (c *Cache) Len() int { return c.bySeq.Len() }

// Tickets returns the number of tickets: configuration entries do not count.
func (c *Cache) Tickets() int { return c.byEnd.Len() }

// Credentials yields all credentials in the order of storing.
func (c *Cache) Credentials() iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		c.bySeq.Scan(func(_ uint64, cred *Credential) bool { return yield(cred) })
	}
}

// Credential returns the credential with that UUID, or ErrNoCredential.
func (c *Cache) Credential(id uuid.UUID) (*Credential, error) {
	cred, ok := c.bySeq.Get(seqIn(id))
	if (!ok || cred.UUID != id) && c.strays != nil {
		cred, ok = c.strays.Get(string(id[:]))
	}
	if !ok || cred.UUID != id {
		return nil, ErrNoCredential
	}
	return cred, nil
}

// Find returns the credential that m matches and that was stored first, or
// ErrNoCredential. It looks at credentials for m's server only.
func (c *Cache) Find(m *ccache.Match) (*Credential, error) {
	return c.FindInSteps(m, func() error { return nil })
}

// findStep is how many credentials FindInSteps looks at in one step.
const findStep = 512

// FindInSteps does what Find does, and calls pause between steps of a long search.
// It ends with the error of pause, if that returns one.
func (c *Cache) FindInSteps(m *ccache.Match, pause func() error) (*Credential, error) {
	s := search{m: m, pause: pause} // one allocation for all that look keeps
	c.candidates(m)(s.look)
	switch {
	case s.err != nil:
		return nil, s.err
	case s.found == nil:
		return nil, ErrNoCredential
	}
	return s.found, nil
}

// A search looks for the credential that m matches and that was stored first.
type search struct {
	m      *ccache.Match
	pause  func() error
	looked int
	found  *Credential
	err    error
}

// look looks at one credential, and returns false at the end of the search.
func (s *search) look(cred *Credential) bool {
	if s.looked++; s.looked%findStep == 0 {
		if s.err = s.pause(); s.err != nil {
			return false
		}
	}
	if s.m.Matches(cred.Credential) && (s.found == nil || cred.seq < s.found.seq) {
		s.found = cred
	}
	// Without a server they come in the order of storing.
	return s.found == nil || s.m.Server != nil
}

// candidates yields the credentials that m could match.
func (c *Cache) candidates(m *ccache.Match) iter.Seq[*Credential] {
	switch {
	case m.Server == nil:
		return c.Credentials()
	case m.AnyServerRealm():
		return c.withServer(newServerKey(m.Server, 0), anyRealm)
	default:
		return c.withServer(newServerKey(m.Server, 0), oneServer)
	}
}

// replacedBy returns the stored credential that cred replaces, or nil.
func (c *Cache) replacedBy(cred *Credential) *Credential {
	for old := range c.withServer(cred.server, sameTicket) {
		if cred.Replaces(old.Credential) {
			return old
		}
	}
	return nil
}

// put adds cred, in the place that its sequence number gives it.
func (c *Cache) put(cred *Credential) {
	if old, ok := c.bySeq.Set(cred.seq, cred); ok {
		c.removeFromIndexes(old, cred)
	}
	c.byServer.Set(cred.serverEntry())
	if cred.kind != noTicket {
		c.byEnd.Set(cred)
	}
	if seqIn(cred.UUID) != cred.seq {
		if c.strays == nil {
			c.strays = btree.NewMap[string, *Credential](degree)
		}
		c.strays.Set(string(cred.UUID[:]), cred)
	}
	c.bytes += cred.size()
	c.nextSeq = max(c.nextSeq, cred.seq+1)
}

// drop removes cred.
func (c *Cache) drop(cred *Credential) {
	c.bySeq.Delete(cred.seq)
	c.removeFromIndexes(cred, nil)
}

// removeFromIndexes removes cred from the indexes other than bySeq, unless next,
// which may be nil, is going to take its place there.
func (c *Cache) removeFromIndexes(cred, next *Credential) {
	if next == nil || next.server != cred.server {
		c.byServer.Delete(cred.serverEntry())
	}
	if cred.kind != noTicket && (next == nil || next.kind != cred.kind || next.end != cred.end) {
		c.byEnd.Delete(cred)
	}
	if c.strays != nil {
		c.strays.Delete(string(cred.UUID[:]))
	}
	c.bytes -= cred.size()
}
