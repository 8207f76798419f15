package ccstore

// apply makes the changes of a commit to before, which stays as it is. It returns
// what Load would make of the collection after the commit, and what changed. What
// cannot be read is quarantined in memory.
func apply(before *Collection, ops []Op) (after *Collection, changes []Change) {
	d := newDraft(before)
	d.write().revision++
	for _, op := range ops {
		d.apply(op)
	}
	return d.finish(), d.changes
}

// apply makes one change. One to a cache or credential that is not in use is none.
func (d *draft) apply(op Op) {
	switch op := op.(type) {
	case SetDefault:
		d.setDefault(op.Name)
	case PutCache:
		d.applyPutCache(op.CacheRecord)
	case DeleteCache:
		if cache := d.cacheByID(op.ID); cache != nil {
			d.dropCache(cache, op.Reason)
		}
	case RenameCache:
		if cache := d.cacheByID(op.ID); cache != nil {
			d.renameCache(cache, op.Name)
		}
	case QuarantineCache:
		if cache := d.cacheByID(op.ID); cache != nil {
			d.quarantineCache(cache)
		}
	case MoveCredentials:
		from, to := d.cacheByID(op.From), d.cacheByID(op.To)
		if from != nil && to != nil {
			d.moveCredentials(from, d.writeCache(to))
		}
	case ClearCache:
		if cache := d.cacheByID(op.ID); cache != nil {
			d.clearCache(d.writeCache(cache))
		}
	case PutCredential:
		d.applyPutCredential(op.CredentialRecord)
	case DeleteCredential:
		d.applyDrop(op.Cache, op.Seq, op.Reason)
	case QuarantineCredential:
		if cache := d.applyDrop(op.Cache, op.Seq, Removed); cache != nil {
			cache.quarantined++
		}
	}
}

func (d *draft) applyPutCache(row CacheRecord) {
	old := d.cacheByID(row.ID)
	next, err := readCache(row)
	switch {
	case row.Quarantined != "" || err != nil:
		if old != nil {
			d.quarantineCache(old)
		} else {
			d.write().quarantined++
		}
	case old == nil:
		d.addNewCache(next)
	default:
		cache := d.writeCache(old)
		if cache.Name != next.Name {
			d.renameCache(cache, next.Name)
		} else if !cache.sameAttributes(next) {
			d.changed(cache)
		}
		cache.Principal, cache.KDCOffset, cache.Label, cache.Changed = next.Principal, next.KDCOffset, next.Label, next.Changed
		cache.renewal = next.renewal
	}
}

func (d *draft) quarantineCache(cache *Cache) {
	d.dropCache(cache, Removed)
	d.quarantined++
}

func (d *draft) applyPutCredential(row CredentialRecord) {
	cache := d.cacheByID(row.Cache)
	if cache == nil {
		return
	}
	cred, err := readCredential(row)
	if row.Quarantined != "" || err != nil {
		d.applyDrop(row.Cache, row.Seq, Removed)
		cache = d.writeCache(d.cacheByID(row.Cache))
		cache.quarantined++
		cache.nextSeq = max(cache.nextSeq, row.Seq+1)
		return
	}
	d.putCredential(d.writeCache(cache), newCredential(cred, row.UUID, row.Seq))
}

// applyDrop removes a credential. It returns its cache, for writing, or nil if
// there is no such credential.
func (d *draft) applyDrop(id, seq uint64, reason Reason) *Cache {
	cache := d.cacheByID(id)
	if cache == nil {
		return nil
	}
	cred, ok := cache.bySeq.Get(seq)
	if !ok {
		return nil
	}
	cache = d.writeCache(cache)
	d.dropCredential(cache, cred, reason)
	return cache
}
