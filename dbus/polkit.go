package dbus

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// The polkit actions, as data/polkit declares them. They are for administrators
// who are not root, and about what belongs to others: nobody is ever asked
// whether he may have what is his own.
const (
	actionInspectAll = "org.kcmd.KCM1.inspect-all"
	actionManageAll  = "org.kcmd.KCM1.manage-all"
)

const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = "/org/freedesktop/PolicyKit1/Authority"
	polkitIface = polkitName + ".Authority"
)

// polkitTimeout is for an authority that asks nobody. A person who is asked for
// a password may take longer.
const (
	polkitTimeout    = 10 * time.Second
	passwordPatience = 2 * time.Minute
)

// maxAsking is how many questions about one uid may be under way: the bus has
// only so many calls of ours wait for their answer.
const maxAsking = 4

// mayChange returns nil if c may change what belongs to the owner of its object.
func (b *bus) mayChange(c *call) error {
	if c.where.uid == c.view.uid {
		return nil
	}
	if err := b.authorize(c, actionManageAll); err != nil {
		return err
	}
	b.Logger.Info("a user changes what belongs to another",
		"uid", c.view.uid, "owner", c.where.uid, "member", c.member)
	return nil
}

var notAuthorized = &fault{errAccessDenied, "you are not authorized"}

// authorize returns nil if the caller may do what a polkit action is about. root
// may; whether anybody else may is for polkit to say, where there is one.
func (b *bus) authorize(c *call, action string) error {
	switch {
	case c.view.uid == 0:
		return nil
	case b.Session:
		return notAuthorized
	case !b.peers.beginAsking(c.view.uid):
		return &fault{errLimitsExceeded, "too many authorizations of this user are being asked for"}
	}
	defer b.peers.endAsking(c.view.uid)
	answer, err := b.askPolkit(c, action)
	switch {
	case err != nil:
		b.Logger.Debug("polkit does not answer", "action", action, "err", err)
		return notAuthorized
	case answer.Authorized:
		return nil
	case answer.Challenge && !c.interactive():
		return &fault{errNotAuthorizedYet, "authorization by a password is needed, and the caller does not allow to ask for it"}
	}
	return notAuthorized
}

// interactive reports whether the caller lets people be asked.
func (c *call) interactive() bool {
	return c.msg.Flags&godbus.FlagAllowInteractiveAuthorization != 0
}

// A polkitSubject is whom polkit is asked about.
type polkitSubject struct {
	Kind    string
	Details map[string]godbus.Variant
}

// A polkitAnswer is what polkit says.
type polkitAnswer struct {
	Authorized bool
	Challenge  bool // would be, after a password
	Details    map[string]string
}

// askPolkit asks whether the caller is authorized. It waits for people, so that
// no lock may be held.
func (b *bus) askPolkit(c *call, action string) (answer polkitAnswer, err error) {
	timeout, flags := polkitTimeout, uint32(0)
	if c.interactive() {
		timeout, flags = passwordPatience, 1
	}
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	go func() {
		select {
		case <-c.from.left: // and nobody waits for the answer
			cancel()
		case <-ctx.Done():
		}
	}()
	authority := b.conn.Object(polkitName, polkitPath)
	subject := polkitSubject{"system-bus-name", variants(map[string]any{"name": c.sender})}
	id := "kcmd-" + strconv.FormatUint(lastQuestion.Add(1), 10)
	err = authority.CallWithContext(ctx, polkitIface+".CheckAuthorization", 0,
		subject, action, map[string]string{}, flags, id).Store(&answer)
	if ctx.Err() != nil {
		authority.Call(polkitIface+".CancelCheckAuthorization", godbus.FlagNoReplyExpected, id)
	}
	return answer, err
}

// lastQuestion numbers the questions, so that they can be taken back.
var lastQuestion atomic.Uint64

// beginAsking reports whether one more question about uid may be under way.
func (p *peers) beginAsking(uid uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking[uid] >= maxAsking {
		return false
	}
	p.asking[uid]++
	return true
}

func (p *peers) endAsking(uid uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking[uid]--; p.asking[uid] == 0 {
		delete(p.asking, uid)
	}
}
