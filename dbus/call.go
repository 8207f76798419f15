package dbus

import (
	"fmt"
	"runtime/debug"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/guard"
	"kcmd.org/kcmd/introspection"
)

// A call is a method call with what is found out about it.
type call struct {
	msg       *godbus.Message
	sender    string // unique name
	path      string
	iface     string // "" if the caller did not say
	member    string
	signature string
	body      []any // of that signature, unless refused
	guarded   *guard.Call
	refused   string // what the guard has against the arguments, "" for nothing

	from  *peer
	view  view
	where place

	found []string                     // what SubscribeProcess found before it runs
	watch *watch                       // who left since it began to look
	atEnd func()                       // done when the call is over
	uids  []uint32                     // owners that are made ready
	read  map[ccstore.Owner]collection // what this call looked at; see mirror.go
	since uint64                       // order of the last subscription before it
}

func newCall(msg *godbus.Message) *call {
	header := func(f godbus.HeaderField) any { v := msg.Headers[f]; return v.Value() }
	c := &call{msg: msg, body: msg.Body, atEnd: func() {}, read: make(map[ccstore.Owner]collection)}
	c.sender, _ = header(godbus.FieldSender).(string)
	path, _ := header(godbus.FieldPath).(godbus.ObjectPath)
	c.path = string(path)
	c.iface, _ = header(godbus.FieldInterface).(string)
	c.member, _ = header(godbus.FieldMember).(string)
	signature, _ := header(godbus.FieldSignature).(godbus.Signature)
	c.signature = signature.String()
	return c
}

// intercept takes method calls away from godbus, which would start a goroutine
// for each and so lose their order. It runs between the reading of two messages.
func (b *bus) intercept(msg *godbus.Message) {
	if msg.Type != godbus.TypeMethodCall {
		return
	}
	mine := *msg
	msg.Type = 0 // godbus has nothing to do for a message of no type
	c := newCall(&mine)
	c.guarded = b.link.Call()
	c.signature, c.refused = c.guarded.Signature, c.guarded.Refused
	if from := b.peers.enqueue(c); from != nil {
		go b.work(from)
	}
}

// work answers the calls of from one after the other.
func (b *bus) work(from *peer) {
	for c := b.peers.next(from); c != nil; c = b.peers.next(from) {
		b.handle(c)
	}
}

// handle answers one call, whatever happens.
func (b *bus) handle(c *call) {
	defer c.guarded.End()
	defer func() {
		c.atEnd()
		if r := recover(); r != nil {
			b.Logger.Error("method panicked", "interface", c.iface, "member", c.member,
				"panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			b.sendError(c, fmt.Errorf("%v", r))
		}
	}()
	if err := b.identify(c.from); err != nil {
		b.sendError(c, err)
		return
	}
	c.view = b.peers.viewOf(c.from)
	if err := b.dispatch(c); err != nil {
		b.Logger.Debug("call failed", "uid", c.view.uid, "interface", c.iface, "member", c.member, "err", err)
		b.sendError(c, err)
	}
}

// A method is what the service does for one method of an interface.
type method struct {
	// prepare does what takes time, before run and without the lock, and before
	// anybody has looked whether the object is there.
	prepare func(b *bus, c *call) error

	// needs returns whose collections run will look at. By default that is the
	// owner of the object.
	needs func(b *bus, c *call) ([]uint32, error)

	// run answers. The lock is held from here until the answer is sent.
	run func(b *bus, c *call, o object) ([]any, error)

	// change is there in place of run where the store is changed. The lock is
	// not held; the object is there, and the caller may change what belongs to
	// its owner.
	change func(b *bus, c *call) ([]any, error)
}

// dispatch runs a call and answers it, unless it fails.
func (b *bus) dispatch(c *call) error {
	if c.iface == introspection.Peer.Name {
		return b.dispatchPeer(c)
	}
	var ok bool
	if c.where, ok = parsePath(c.path, c.view); !ok {
		return unknownObject
	}
	// An error about the method waits until it is certain that the object is
	// there: otherwise it would tell.
	m, methodErr := c.where.method(c)
	needs := c.where.owners()
	if methodErr == nil && m.prepare != nil {
		if err := m.prepare(b, c); err != nil {
			return err
		}
	}
	if methodErr == nil && m.needs != nil {
		var err error
		if needs, err = m.needs(b, c); err != nil {
			return err
		}
	}
	if err := b.makeReady(c, needs); err != nil {
		return err
	}
	if methodErr == nil && m.change != nil {
		return b.dispatchChange(c, m)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.settleRest(c)
	o, ok := b.resolve(c, c.where)
	switch {
	case !ok:
		return unknownObject
	case methodErr != nil:
		return methodErr
	}
	results, err := m.run(b, c, o)
	if err != nil {
		return err
	}
	b.keep(c)
	b.sendReply(c, results)
	return nil
}

// dispatchChange runs a call that changes what belongs to the owner of its
// object. It is answered after the signals that tell of it.
func (b *bus) dispatchChange(c *call, m method) error {
	if !b.there(c) {
		return unknownObject
	}
	if err := b.mayChange(c); err != nil {
		return err
	}
	results, err := m.change(b, c)
	if err != nil {
		return err
	}
	if err := b.settle(b.ctx, []ccstore.Owner{c.owner()}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sendReply(c, results)
	return nil
}

// there reports whether the object of c is there.
func (b *bus) there(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settleRest(c)
	_, ok := b.resolve(c, c.where)
	return ok
}

// owner returns whom the object of c belongs to.
func (c *call) owner() ccstore.Owner { return c.view.owner(c.where.uid) }

// dispatchPeer answers the interface that is about the process, not about an
// object: it is the same at every path, whether there is an object or not.
func (b *bus) dispatchPeer(c *call) error {
	m, err := peerInterface.method(c)
	if err != nil {
		return err
	}
	results, err := m.run(b, c, nil)
	if err != nil {
		return err
	}
	b.sendReply(c, results)
	return nil
}

func (b *bus) sendReply(c *call, results []any) {
	reply := &godbus.Message{Type: godbus.TypeMethodReply, Headers: replyHeaders(c), Body: results}
	b.send(c, reply)
}

func (b *bus) sendError(c *call, err error) {
	name, text := busError(err)
	reply := &godbus.Message{Type: godbus.TypeError, Headers: replyHeaders(c), Body: []any{text}}
	reply.Headers[godbus.FieldErrorName] = godbus.MakeVariant(name)
	b.send(c, reply)
}

func (b *bus) send(c *call, reply *godbus.Message) {
	if c.msg.Flags&godbus.FlagNoReplyExpected == 0 {
		b.sendMessage(reply)
	}
}

func replyHeaders(c *call) map[godbus.HeaderField]godbus.Variant {
	return map[godbus.HeaderField]godbus.Variant{
		godbus.FieldDestination: godbus.MakeVariant(c.sender),
		godbus.FieldReplySerial: godbus.MakeVariant(c.msg.Serial()),
	}
}

// sendMessage sends a reply or a signal. If that fails the connection is over,
// and whoever reads from it finds out.
func (b *bus) sendMessage(msg *godbus.Message) {
	if len(msg.Body) > 0 {
		msg.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(msg.Body...))
	}
	b.conn.Send(msg, nil)
}

// makeReady makes the collections of those owners ready to be looked at under the
// lock: it has the store load them, and waits until changes that are already
// made are announced, so that an answer is never older than the call and never
// newer than the signals.
func (b *bus) makeReady(c *call, uids []uint32) error {
	for _, uid := range uids {
		if err := b.load(b.ctx, c.view.owner(uid)); err != nil && len(uids) == 1 {
			return err
		} else if err != nil {
			b.Logger.Error("cannot load a collection", "uid", uid, "err", err)
			continue
		}
		c.uids = append(c.uids, uid)
	}
	return b.settle(b.ctx, c.view.owners(c.uids))
}

// all returns every owner in view of c who may have something. It is for
// method.needs.
func all(b *bus, c *call) ([]uint32, error) {
	if !c.view.all {
		return []uint32{c.view.uid}, nil
	}
	uids, err := b.owners(b.ctx, c.view)
	if len(uids) > maxNeeded {
		return nil, &fault{errLimitsExceeded, fmt.Sprintf(
			"%d users have caches, at most %d can be looked into at once; ListCollections lists them", len(uids), maxNeeded)}
	}
	return uids, err
}

// maxNeeded bounds the collections that one call may have in memory. With ten
// tickets each, so many take some 80 MB.
const maxNeeded = 2048
