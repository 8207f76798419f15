package dbus

import (
	"sync"

	"kcmd.org/kcmd/ccstore"
)

// pending gathers what the store changes until it is announced. The store's
// callback fills it, so nothing here waits for anything.
type pending struct {
	mu    sync.Mutex
	batch *batch
	seen  map[ccstore.Owner]bool // who changed something on this connection
	first chan struct{}          // receives when a batch begins
}

// A batch is what is announced together.
type batch struct {
	byOwner map[ccstore.Owner]*changes
	done    chan struct{} // closed once it is announced
}

// changes are what happened to one collection.
type changes struct {
	before  *ccstore.Collection
	after   *ccstore.Collection
	tickets []ccstore.Change // that came and went, as far as there was room
	gap     bool             // the store did not tell of everything between the two
}

// maxTicketChanges bounds what is kept of one collection: a few times what is
// listed in signals, so that what comes and goes in between does no harm.
const maxTicketChanges = 4096

func (p *pending) init() {
	p.batch = newBatch()
	p.seen = make(map[ccstore.Owner]bool)
	p.first = make(chan struct{}, 1)
}

func newBatch() *batch {
	return &batch{byOwner: make(map[ccstore.Owner]*changes), done: make(chan struct{})}
}

// add notes a commit.
func (p *pending) add(e ccstore.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[e.Owner] = true
	ch := p.batch.byOwner[e.Owner]
	if ch == nil {
		if len(p.batch.byOwner) == 0 {
			notify(p.first)
		}
		ch = &changes{before: e.Before, after: e.Before}
		p.batch.byOwner[e.Owner] = ch
	}
	// The store reads a collection again when somebody else changed it.
	ch.gap = ch.gap || ch.after != e.Before
	ch.after = e.After
	for _, one := range e.Changes {
		if len(ch.tickets) == maxTicketChanges {
			break
		}
		if one.Credential != nil && !one.Credential.IsConfig() {
			ch.tickets = append(ch.tickets, one)
		}
	}
}

// take returns what was gathered, and begins anew.
func (p *pending) take() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.batch
	p.batch = newBatch()
	return b
}

// awaits returns what is closed when the present batch is announced, if that
// holds what waits looks for, otherwise nil.
func (p *pending) awaits(waits func(changed map[ccstore.Owner]*changes) bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !waits(p.batch.byOwner) {
		return nil
	}
	return p.batch.done
}

// addSeen adds the uids in v who changed something on this connection.
func (p *pending) addSeen(v view, uids map[uint32]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o := range p.seen {
		if v.mayView(o) {
			uids[o.UID] = true
		}
	}
}
