package dbus

import (
	"maps"
	"slices"
	"sync"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// pending gathers changes of the store until they are announced. The store's
// callback fills it before a reader sees a change, and waits for nothing here.
type pending struct {
	mu        sync.Mutex
	byOwner   map[ccstore.Owner]*changes
	gathering bool        // since due was set, until gathered
	due       *time.Timer // fires at the end of the gathering
}

// changes are what happened to one collection.
type changes struct {
	before  *ccstore.Collection
	after   *ccstore.Collection
	tickets []ccstore.Change // that came and went, up to maxTicketChanges
	notices []ccstore.Notice // up to maxTicketChanges
}

// maxTicketChanges bounds the pending changes of a collection: a few times what a
// signal lists, because tickets that both come and go are not listed.
const maxTicketChanges = 4096

func newPending() pending {
	due := time.NewTimer(gathering)
	due.Stop()
	return pending{byOwner: make(map[ccstore.Owner]*changes), due: due}
}

// add notes an event. The store calls it, and its owner's next commit waits for it.
func (p *pending) add(e ccstore.Event) {
	if e.Owner.Namespace != ccstore.DefaultNamespace {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gather() // changes may be left from the last gathering: owners were listed before they came
	ch := p.byOwner[e.Owner]
	if ch == nil {
		ch = &changes{before: e.Before}
		p.byOwner[e.Owner] = ch
	}
	ch.after = e.After
	if len(ch.notices) < maxTicketChanges {
		ch.notices = append(ch.notices, e.Notices...)
	}
	for _, change := range e.Changes {
		if change.Credential != nil && !change.Credential.IsConfig() && len(ch.tickets) < maxTicketChanges {
			ch.tickets = append(ch.tickets, change)
		}
	}
}

// begin begins a gathering, if none is under way.
func (p *pending) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gather()
}

func (p *pending) gather() {
	if !p.gathering {
		p.gathering = true
		p.due.Reset(gathering)
	}
}

// snapshots returns the collection of an owner before and after its pending
// changes, or nil if it has none.
func (p *pending) snapshots(o ccstore.Owner) (before, after *ccstore.Collection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ch := p.byOwner[o]; ch != nil {
		return ch.before, ch.after
	}
	return nil, nil
}

// take removes and returns the pending changes of an owner, or nil.
func (p *pending) take(o ccstore.Owner) *changes {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := p.byOwner[o]
	delete(p.byOwner, o)
	return ch
}

// gathered ends the gathering, and returns the owners with pending changes.
func (p *pending) gathered() []ccstore.Owner {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gathering = false
	return p.listed()
}

// owners returns the owners with pending changes.
func (p *pending) owners() []ccstore.Owner {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listed()
}

func (p *pending) listed() []ccstore.Owner { return slices.Collect(maps.Keys(p.byOwner)) }
