package keyring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/cckeyring"
)

// commit makes all changes or none, in the kernel and in what is known of it.
func (c *collection) commit(commit *ccstore.Commit, now time.Time) error {
	next := c.clone()
	for _, op := range commit.Ops {
		next.apply(op)
	}
	err := next.write(c, now)
	for pause := 10 * time.Millisecond; errors.Is(err, unix.EDQUOT) && pause < maxPause; pause *= 2 {
		time.Sleep(pause)
		err = next.write(c, now)
	}
	if err != nil {
		return err
	}
	next.sum = next.total()
	next.revision++
	next.commits = slices.Insert(slices.Clone(c.commits[:min(len(c.commits), ccstore.KeptCommits-1)]), 0, commit.ID)
	*c = *next
	return nil
}

// maxPause bounds the pauses at the quota: the kernel takes some milliseconds to give back
// that of keys which have just gone.
const maxPause = 100 * time.Millisecond

// write takes the kernel from before to c.
func (c *collection) write(before *collection, now time.Time) error {
	p := c.plan(before, now.Unix())
	if err := p.check(); err != nil {
		return err
	}
	if p.isEmpty() {
		return nil
	}
	if err := before.kernel.Apply(&p.Batch, now); err != nil {
		return err
	}
	p.note()
	return nil
}

// apply makes one change in memory.
func (c *collection) apply(op ccstore.Op) {
	switch op := op.(type) {
	case ccstore.SetDefault:
		c.defaultName = op.Name
	case ccstore.PutCache:
		c.putCache(op.CacheRecord)
	case ccstore.DeleteCache:
		delete(c.caches, op.ID)
	case ccstore.RenameCache:
		if cache := c.caches[op.ID]; cache != nil {
			cache.record.Name, cache.ring = op.Name, 0
		}
	case ccstore.ClearCache:
		if cache := c.caches[op.ID]; cache != nil {
			cache.clear()
		}
	case ccstore.PutCredential:
		if cache := c.caches[op.Cache]; cache != nil {
			cache.putCredential(op.CredentialRecord)
		}
	case ccstore.DeleteCredential:
		if cache := c.caches[op.Cache]; cache != nil {
			delete(cache.credentials, op.Seq)
		}
	case ccstore.MoveCredentials:
		c.moveCredentials(op.From, op.To)
	case ccstore.QuarantineCache:
		if cache := c.caches[op.ID]; cache != nil {
			cache.record.Quarantined = op.Why
		}
	case ccstore.QuarantineCredential:
		if cache := c.caches[op.Cache]; cache != nil && cache.credentials[op.Seq] != nil {
			cache.credentials[op.Seq].record.Quarantined = op.Why
		}
	}
}

func (c *collection) putCache(row ccstore.CacheRecord) {
	known := c.caches[row.ID]
	if known == nil {
		known = &cache{credentials: make(map[uint64]*credential), nextSeq: 1}
		c.caches[row.ID] = known
		c.nextID = max(c.nextID, row.ID+1)
	}
	if next := (&cache{record: row}); !known.sameAttributes(next) {
		known.ring = 0
	}
	if known.record.KDCOffset != row.KDCOffset {
		known.microseconds = 0
	}
	known.record = row
}

// clear removes all credentials. The cache gets a new keyring, so that they go at once.
func (c *cache) clear() {
	c.ring = 0
	clear(c.credentials)
}

func (c *cache) putCredential(row ccstore.CredentialRecord) {
	cred := newCredential(row.Data)
	cred.record = row
	old := c.credentials[row.Seq]
	delete(c.credentials, row.Seq)
	if old != nil && cred.kind != damaged && (old.name == cred.name || strings.HasPrefix(old.name, cred.name+besides)) {
		cred.name = old.name // its key takes the place of the old one
	} else {
		cred.name = c.freeName(cred)
	}
	c.credentials[row.Seq] = cred
	c.nextSeq = max(c.nextSeq, row.Seq+1)
}

// maxName bounds the description of a key. Those of libkrb5 are not read by anyone.
const maxName = 4000

// besides follows the name of the server in the description of a key for a further ticket.
// No name of a server has a second '@'.
const besides = "@kcmd:"

// freeName returns a description for the key of a credential: that of libkrb5, by which a
// ticket replaces one for the same server. What a store keeps beside such a ticket, of
// another encryption type or with restrictions, gets another one.
func (c *cache) freeName(cred *credential) string {
	name := cred.name
	if name == "" || len(name) > maxName || strings.ContainsRune(name, 0) {
		name = cred.record.UUID.String()
	}
	free := name
	for n := 2; c.hasName(free); n++ {
		free = fmt.Sprint(name, besides, n)
	}
	return free
}

func (c *cache) hasName(name string) bool {
	for _, cred := range c.credentials {
		if cred.name == name {
			return true
		}
	}
	return false
}

func (c *collection) moveCredentials(from, to uint64) {
	source, target := c.caches[from], c.caches[to]
	if source == nil || target == nil {
		return
	}
	target.clear()
	for seq, cred := range source.credentials {
		cred.record.Cache = to
		target.credentials[seq] = cred
	}
	target.nextSeq = max(target.nextSeq, source.nextSeq)
	source.clear()
}

// A plan is a batch, and what is to be noted when it was made.
type plan struct {
	cckeyring.Batch
	caches []*cache        // of Put
	keys   [][]*credential // of each cache of Put
	added  *credential     // of Add
}

func (p *plan) isEmpty() bool {
	return len(p.Put) == 0 && p.Add == nil && len(p.Drop) == 0 && len(p.Remove) == 0 && p.Primary == ""
}

// plan returns what takes the kernel from before to c.
func (c *collection) plan(before *collection, now int64) *plan {
	p := new(plan)
	c.displace()
	names := make(map[string]bool)
	byRing := make(map[int]*cache)
	for _, old := range before.caches {
		byRing[old.ring] = old
	}
	for _, cache := range c.inOrder() {
		names[cache.record.Name] = true
		if old := byRing[cache.ring]; cache.ring == 0 || !p.inPlace(old, cache, now) {
			p.put(c.kernelName(cache.record.Name), cache, now)
		}
	}
	for _, old := range before.inOrder() {
		if !names[old.record.Name] {
			p.Remove = append(p.Remove, old.ring)
		}
	}
	if name := c.effectiveDefault(); name != before.effectiveDefault() || c.kernelName(name) != before.primary && !p.isEmpty() {
		p.Primary = c.kernelName(name)
	}
	return p
}

// displace removes caches whose name another one has taken: damaged ones, which no
// store sees.
func (c *collection) displace() {
	byName := make(map[string]uint64)
	for _, cache := range c.inOrder() {
		if old, taken := byName[cache.record.Name]; taken {
			delete(c.caches, old)
		}
		byName[cache.record.Name] = cache.record.ID
	}
}

// inPlace plans the changes of a cache that keeps its keyring, so that programs which
// have it open go on. It reports whether that can be made in one step: there is at most
// one credential to be added, in the whole batch.
func (p *plan) inPlace(old, cache *cache, now int64) bool {
	var add *credential
	for _, cred := range cache.credentials {
		if cred.key != 0 {
			continue
		}
		if add != nil || p.Add != nil {
			return false
		}
		add = cred
	}
	ends := cache.end(now)
	if add != nil {
		p.Add = &cckeyring.Addition{Cache: cache.ring, Ends: ends, Key: cache.newKey(add)}
		p.added = add
	}
	kept := make(map[int]bool)
	for _, cred := range cache.credentials {
		kept[cred.key] = true
	}
	for _, cred := range old.inOrder() {
		if !kept[cred.key] {
			p.Drop = append(p.Drop, cckeyring.Dropped{Cache: cache.ring, Key: cred.key, Ends: ends})
		}
	}
	return true
}

func (c *cache) newKey(cred *credential) cckeyring.Key {
	return cckeyring.Key{ID: cred.key, Name: cred.name, Data: cred.record.Data, Ends: c.localEnd(cred)}
}

// put plans a new keyring for a cache.
func (p *plan) put(name string, cache *cache, now int64) {
	put := &cckeyring.Cache{
		Name: name, Principal: cache.record.Principal,
		KDCOffset: cache.record.KDCOffset, Microseconds: cache.microseconds, Ends: cache.end(now),
	}
	creds := cache.inOrder()
	for _, cred := range creds {
		put.Keys = append(put.Keys, cache.newKey(cred))
	}
	p.Put, p.caches, p.keys = append(p.Put, put), append(p.caches, cache), append(p.keys, creds)
}

// note takes the numbers that the kernel has given.
func (p *plan) note() {
	for i, put := range p.Put {
		p.caches[i].ring = put.ID
		for j, k := range put.Keys {
			p.keys[i][j].key = k.ID
		}
	}
	if p.Add != nil {
		p.added.key = p.Add.ID
	}
}

// check refuses names that the kernel does not take.
func (p *plan) check() error {
	for _, put := range p.Put {
		if len(put.Name) > maxName || strings.ContainsRune(put.Name, 0) {
			return fmt.Errorf("cannot make cache %.100q: allowed in a keyring: a name of at most %d bytes without NUL: %w", put.Name, maxName, unix.EINVAL)
		}
	}
	return nil
}
