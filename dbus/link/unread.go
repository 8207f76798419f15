package link

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/dbus/guard"
)

// unread bounds the bytes that the bus keeps for peers that do not read: it
// counts them as ours, and at its limit reads nothing of ours any more. What was
// sent to a peer is unread until it answers a Ping that was sent behind it, or
// leaves. Below half of the budget of its uid it is not asked.
type unread struct {
	pool *budget.Pool
	most int64 // of an account

	waiting atomic.Int32 // calls that wait until there is room

	mu    sync.Mutex
	pings map[uint32]*Peer // without an answer, by serial
	off   bool             // nothing is counted: the bus does not let us ask
}

// sent is what a peer has to read. It is guarded by unread.mu.
type sent struct {
	unread int64
	ping   uint32 // serial of the Ping without an answer, or 0
	before int64  // unread when it was sent
}

const (
	// answerRoom is how much must be free for a call to be served.
	answerRoom = 128 << 10

	// patience is how long a call waits until its user has read.
	patience = 10 * time.Second

	// manyUnread makes a Ping worth the while.
	manyUnread = 64 << 10

	// maxPings and maxAllPings bound the Pings without an answer, of a uid and of
	// all: the bus lets only so many calls of ours wait for an answer.
	maxPings    = 8
	maxAllPings = 64
)

func (p *Peer) account() budget.Account { return budget.Account{UID: p.Identity().UID} }

// admit waits until there is room for the answer to a call of p: two calls of a
// uid are served at once, so that the room need not be kept. It reports whether
// there is.
func (c *Conn) admit(p *Peer) bool {
	u := &c.unread
	if u.isOff() {
		return true
	}
	if u.pool.Take(p.account(), answerRoom) != nil {
		u.waiting.Add(1)
		defer u.waiting.Add(-1)
		c.ask(p.Identity().UID)
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		if u.pool.Wait(ctx, p.account(), answerRoom, 0) != nil {
			return false
		}
	}
	u.pool.Give(p.account(), answerRoom)
	return true
}

func (u *unread) isOff() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.off
}

// charge counts n bytes to be sent to a peer. It returns false if that is too much.
func (c *Conn) charge(p *Peer, n int64) bool {
	u := &c.unread
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.off || p.HasLeft() || p.identity.Load() == nil {
		return true
	}
	if u.pool.Take(p.account(), n) != nil {
		return false
	}
	p.sent.unread += n
	if p.sent.unread >= manyUnread && p.sent.ping == 0 && u.pool.Held(p.account()) > u.most/2 {
		go c.ask(p.Identity().UID)
	}
	return true
}

// ask sends Pings to the peers of a uid that have most to read.
func (c *Conn) ask(uid uint32) {
	of := c.peers.of(uid)
	u := &c.unread
	u.mu.Lock()
	defer u.mu.Unlock()
	slices.SortFunc(of, func(a, b *Peer) int { return cmp.Compare(b.sent.unread, a.sent.unread) })
	asked := 0
	for _, p := range of {
		if p.sent.ping != 0 {
			asked++
		}
	}
	for _, p := range of {
		if asked >= maxPings || len(u.pings) >= maxAllPings || u.off {
			return
		}
		if p.sent.ping == 0 && p.sent.unread > 0 && !p.HasLeft() {
			asked++
			ping, serial := guard.Ping(p.Name)
			p.sent.ping, p.sent.before = serial, p.sent.unread
			u.pings[serial] = p
			p.lane.put(p.lane.reserve(), &ping)
		}
	}
}

// answered notes the answer to a Ping: what was sent before it is read.
func (c *Conn) answered(serial uint32, answer *godbus.Message) {
	u := &c.unread
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.pings[serial]
	if p == nil {
		return
	}
	delete(u.pings, serial)
	p.sent.ping = 0
	if sender, _ := field(answer, godbus.FieldSender).(string); sender != p.Name { // the bus, about a Ping that did not arrive
		if name, _ := field(answer, godbus.FieldErrorName).(string); name != errAccessDenied {
			return
		}
		if !u.off {
			c.Logger.Warn("the policy of the bus does not let the service send org.freedesktop.DBus.Peer.Ping: clients that do not read are not noticed")
		}
		u.off = true
	}
	u.pool.Give(p.account(), p.sent.before)
	p.sent.unread -= p.sent.before
	if u.waiting.Load() > 0 || u.pool.Held(p.account()) > u.most/2 {
		go c.ask(p.Identity().UID)
	}
}

// forget gives back what a peer that left did not read.
func (u *unread) forget(p *Peer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.sent.unread > 0 {
		u.pool.Give(p.account(), p.sent.unread)
		p.sent.unread = 0
	}
	delete(u.pings, p.sent.ping)
}

// of returns the peers of a uid.
func (p *peers) of(uid uint32) []*Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(p.byName)), func(peer *Peer) bool {
		return peer.identity.Load() == nil || peer.Identity().UID != uid
	})
}
