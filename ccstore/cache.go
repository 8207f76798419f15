package ccstore

import (
	"cmp"
	"encoding/binary"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Cache is a snapshot of one credential cache. It never changes; nobody may
// assign to its fields.
type Cache struct {
	UUID      uuid.UUID        // stays through Initialize and Replace
	Name      string           // the residual: what follows "KCM:"
	Principal ccache.Principal // the client
	KDCOffset int32            // seconds to add to the local clock to get the KDC's
	Label     string           // SELinux label of whoever made it, "" without SELinux
	Changed   time.Time        // when the contents last changed, in whole seconds

	id          uint64 // in the collection
	nextSeq     uint64 // of the next credential
	bytes       int64  // sum of Credential.size
	quarantined int    // credentials that are kept but not in use
	bySeq       *btree.Map[uint64, *Credential]
	byServer    *btree.Map[string, *Credential] // by serverKey
	byUUID      *btree.Map[string, *Credential]
	tgts        *endIndex
	services    *endIndex // the other tickets
	hand        position  // in services: the next eviction begins here
}

// A Credential is a credential in a cache, with the bytes that a client stored.
type Credential struct {
	*ccache.Credential
	UUID uuid.UUID // stays until the credential is removed or replaced

	seq  uint64      // place in the order of storing
	end  int64       // of a ticket, see endOf
	used atomic.Bool // by a client since an eviction last passed it; not kept by backends
}

func newCredential(c *ccache.Credential, id uuid.UUID, seq uint64) *Credential {
	return &Credential{Credential: c, UUID: id, seq: seq, end: endOf(c)}
}

// Use notes that a client used the credential. It is then kept longer when room
// must be made.
func (c *Credential) Use() {
	if !c.used.Load() { // most often it is: do not write to memory that others read
		c.used.Store(true)
	}
}

func newCache(id uint64, u uuid.UUID, name string) *Cache {
	return &Cache{
		UUID:     u,
		Name:     name,
		id:       id,
		nextSeq:  1,
		bySeq:    newIndex[uint64](),
		byServer: newIndex[string](),
		byUUID:   newIndex[string](),
		tgts:     newEndIndex(),
		services: newEndIndex(),
	}
}

// newIndex returns a tree of small nodes: each update copies those on its way.
func newIndex[K cmp.Ordered]() *btree.Map[K, *Credential] { return btree.NewMap[K, *Credential](4) }

func (c *Cache) clone() *Cache {
	d := *c
	d.bySeq = c.bySeq.Copy()
	d.byServer = c.byServer.Copy()
	d.byUUID = c.byUUID.Copy()
	d.tgts = c.tgts.Copy()
	d.services = c.services.Copy()
	return &d
}

// Len returns the number of credentials, configuration entries among them.
func (c *Cache) Len() int { return c.bySeq.Len() }

// Tickets returns the number of tickets: configuration entries do not count.
func (c *Cache) Tickets() int { return c.tgts.Len() + c.services.Len() }

// Credentials yields all credentials in the order of storing.
func (c *Cache) Credentials() iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		c.bySeq.Scan(func(_ uint64, cred *Credential) bool { return yield(cred) })
	}
}

// Credential returns the credential with that UUID, or ErrNoCredential.
func (c *Cache) Credential(id uuid.UUID) (*Credential, error) {
	cred, ok := c.byUUID.Get(string(id[:]))
	if !ok {
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
		return c.withServer(m.Server.NameKey())
	default:
		return c.withServer(m.Server.Key())
	}
}

// withServer yields the credentials whose server key begins with prefix, in any
// order: Principal.Key for one server, Principal.NameKey for any realm.
func (c *Cache) withServer(prefix string) iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		c.byServer.Ascend(prefix, func(key string, cred *Credential) bool {
			return strings.HasPrefix(key, prefix) && yield(cred)
		})
	}
}

// serverKey is the key of cred in byServer. Principal keys are self-delimiting,
// so that what follows one is never taken for a part of it.
func serverKey(cred *Credential) string {
	return string(binary.BigEndian.AppendUint64([]byte(replaceKey(cred.Credential)), cred.seq))
}

// replaceKey begins the server keys of all credentials that cred replaces.
func replaceKey(cred *ccache.Credential) string { return cred.Server.Key() + cred.ReplaceKey() }

// replacedBy returns the credential that cred replaces if it is stored, or nil.
func (c *Cache) replacedBy(cred *ccache.Credential) *Credential {
	for old := range c.withServer(replaceKey(cred)) {
		if cred.Replaces(old.Credential) {
			return old
		}
	}
	return nil
}

// put adds cred, in the place that its sequence number gives it.
func (c *Cache) put(cred *Credential) {
	if old, ok := c.bySeq.Get(cred.seq); ok {
		c.drop(old)
	}
	c.bySeq.Set(cred.seq, cred)
	c.byServer.Set(serverKey(cred), cred)
	c.byUUID.Set(string(cred.UUID[:]), cred)
	c.bytes += cred.size()
	if ends := c.endsOf(cred); ends != nil {
		ends.Set(cred)
	}
	c.nextSeq = max(c.nextSeq, cred.seq+1)
}

// drop removes cred.
func (c *Cache) drop(cred *Credential) {
	c.bySeq.Delete(cred.seq)
	c.byServer.Delete(serverKey(cred))
	c.byUUID.Delete(string(cred.UUID[:]))
	c.bytes -= cred.size()
	if ends := c.endsOf(cred); ends != nil {
		ends.Delete(cred)
	}
}

// clear removes all credentials. Sequence numbers go on.
func (c *Cache) clear() {
	c.bySeq = newIndex[uint64]()
	c.byServer = newIndex[string]()
	c.byUUID = newIndex[string]()
	c.tgts, c.services, c.hand = newEndIndex(), newEndIndex(), position{}
	c.bytes, c.quarantined = 0, 0
}
