package transfer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Options configure Copy.
type Options struct {
	UID     uint32
	Now     time.Time
	Only    func(*Cache) bool // nil: all caches
	DryRun  bool              // change nothing
	Expired bool              // take expired caches, too
	Move    bool              // remove from the source what the target has durably
	Destroy bool              // as Move, and what the target has newer tickets for
}

// A copier copies the caches of a source, one after the other.
type copier struct {
	Options
	to      Collection
	target  []*Cache
	claimed map[string]bool // names in the target that a cache of the source has
}

// Copy copies the caches of a collection to another one. It fails only if one of the
// collections cannot be read; errors of single caches are in the results.
func Copy(from, to Collection, o Options) ([]Result, error) {
	source, err := from.Read()
	if err != nil {
		return nil, err
	}
	if o.Only != nil {
		source = slices.DeleteFunc(source, func(c *Cache) bool { return !o.Only(c) })
	}
	target, err := to.Read()
	if err != nil {
		return nil, err
	}
	k := &copier{Options: o, to: to, target: target, claimed: make(map[string]bool)}
	hasDefault := slices.ContainsFunc(target, func(c *Cache) bool { return c.Default })
	names := k.names(source)
	results := make([]Result, len(source))
	for i, c := range source {
		results[i] = k.copy(c, &names[i])
	}
	if !hasDefault {
		k.setDefault(source, names, results)
	}
	for i := range results {
		if t := k.find(names[i]); t != nil && t.Default && results[i].Outcome != Failed {
			results[i].Default = true
		}
	}
	for i, c := range source {
		if k.removes(results[i]) && c.Damaged == nil {
			k.remove(from, c, names[i], &results[i])
		}
	}
	return results, nil
}

// names returns the name in the target for each cache of the source, "" for none: that
// of the same name and principal, else that of the same principal, else a new one.
func (k *copier) names(source []*Cache) []string {
	names := make([]string, len(source))
	same := func(c, t *Cache) bool {
		return t.Contents != nil && !k.claimed[t.Name] && t.Principal.Equal(c.Principal)
	}
	claim := func(i int, t *Cache) { names[i], k.claimed[t.Name] = t.Name, true }
	for i, c := range source {
		if c.Contents == nil {
			continue
		}
		for _, short := range c.Shorts {
			if t := k.find(k.to.Name(short)); t != nil && same(c, t) && names[i] == "" {
				claim(i, t)
			}
		}
	}
	for i, c := range source {
		if c.Contents == nil || names[i] != "" {
			continue
		}
		if j := slices.IndexFunc(k.target, func(t *Cache) bool { return same(c, t) }); j >= 0 {
			claim(i, k.target[j])
		}
	}
	for i, c := range source {
		if c.Contents == nil || names[i] != "" || k.reason(c, "") != "" {
			continue
		}
		for _, short := range c.Shorts {
			if name := k.to.Name(short); name != "" && k.find(name) == nil && !k.claimed[name] && names[i] == "" {
				names[i], k.claimed[name] = name, true
			}
		}
	}
	return names
}

// find returns the cache of the target with that name, or nil.
func (k *copier) find(name string) *Cache {
	if i := slices.IndexFunc(k.target, func(t *Cache) bool { return t.Name == name }); i >= 0 {
		return k.target[i]
	}
	return nil
}

// reason returns why a cache is skipped, "" if it is not.
func (k *copier) reason(c *Cache, name string) string {
	old := k.find(name)
	switch {
	case c.Contents == nil, c.IsEmpty() && c.Damaged != nil:
		return Unreadable
	case c.IsEmpty():
		return Empty
	case old != nil && old.Contents != nil && has(old.Contents, c.Contents):
		return Exists
	case !k.Expired && c.IsExpired(k.Now):
		return Expired
	case old != nil && old.Contents != nil && !endsEarlier(old.Contents, c.Contents):
		return Newer
	}
	return ""
}

// endsEarlier reports whether the TGT of a ends before that of b.
func endsEarlier(a, b *ccache.Contents) bool {
	aEnd, aEnds := a.End()
	bEnd, bEnds := b.End()
	return aEnds && (!bEnds || aEnd.Before(bEnd))
}

// has reports whether a cache has all that another one has. Of several credentials with
// one client and server it may have the last only, as most stores do.
func has(stored, c *ccache.Contents) bool {
	if stored.KDCOffset != c.KDCOffset {
		return false
	}
	type names struct{ client, server string }
	last := make(map[names]*ccache.Credential)
	for _, cred := range c.Credentials {
		last[names{cred.Client.String(), cred.Server.String()}] = cred
	}
	kept := &ccache.Contents{Principal: c.Principal}
	for _, cred := range last {
		kept.Credentials = append(kept.Credentials, cred)
	}
	return stored.Holds(kept)
}

// copy copies a cache to the name, if there is no reason to skip it. It finds a name if
// there is none yet.
func (k *copier) copy(c *Cache, name *string) Result {
	r := Result{Source: c.Title, UID: k.UID, Outcome: Taken, Error: text(errors.Join(c.Err, c.Damaged))}
	if c.Contents != nil {
		r.Principal, r.Tickets = c.Principal.String(), c.Tickets()
	}
	if r.Reason = k.reason(c, *name); r.Reason != "" {
		r.Outcome = Skipped
	} else if k.find(*name) != nil {
		r.Outcome = Replaced
	}
	if r.Outcome != Skipped && !k.DryRun {
		err := k.write(c, name)
		switch {
		case errors.Is(err, errOneOnly):
			r.Outcome, r.Reason = Skipped, OneOnly
		case err != nil:
			r.Outcome, r.Error = Failed, text(err)
		}
	}
	if *name != "" {
		r.Target = k.to.Title(*name)
	}
	return r
}

func (k *copier) write(c *Cache, name *string) (err error) {
	if *name == "" {
		if *name, err = k.to.Unique(); err != nil {
			return err
		}
	}
	return k.to.Write(*name, c.Contents)
}

// text returns the text of an error, "" for nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// setDefault makes the default cache of the source that of the target, which has none;
// where the source has none, the first that was copied.
func (k *copier) setDefault(source []*Cache, names []string, results []Result) {
	best := -1
	for i, c := range source {
		there := results[i].Outcome != Failed && results[i].Target != "" && names[i] != ""
		if there && (best < 0 || c.Default && !source[best].Default) {
			best = i
		}
	}
	if best < 0 {
		return
	}
	if !k.DryRun {
		if err := k.to.SetDefault(names[best]); err != nil {
			results[best].Error = "cannot make it the default cache: " + err.Error()
			return
		}
	}
	results[best].Default = true
}

// removes reports whether what became of a cache is enough to remove it from its source.
func (k *copier) removes(r Result) bool {
	if !k.Move && !k.Destroy || r.Outcome == Failed {
		return false
	}
	return r.Outcome != Skipped || r.Reason == Exists || k.Destroy && r.Reason == Newer
}

// remove removes a cache from its source once the target has it.
func (k *copier) remove(from Collection, c *Cache, name string, r *Result) {
	if k.DryRun {
		r.Removed = true
		return
	}
	var err error
	if r.Reason != Newer {
		var stored *ccache.Contents
		if stored, err = k.to.ReadOne(name); err == nil && !has(stored, c.Contents) {
			err = fmt.Errorf("%s does not have all of it", k.to.Title(name))
		}
	}
	if err == nil {
		err = from.Remove(c)
	}
	if err != nil {
		r.Error = "not removed: " + err.Error()
		return
	}
	r.Removed = true
}
