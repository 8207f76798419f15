package dbus

import (
	"slices"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
)

// announceChanges announces what happened to one collection. b.mu is held.
func (b *bus) announceChanges(o ccstore.Owner, ch *changes) {
	was, is := b.newCollection(ch.before), b.newCollection(ch.after)
	mirror, ok := b.mirrors[o]
	if !ok {
		mirror = was
	}
	// The store shows a change a moment before it tells of it. A mirror that was
	// made in that moment is ahead of the events: whoever was subscribed before
	// does not know what it says.
	behind := func(r recipient) bool {
		return mirror.Revision() > was.Revision() && r.order <= mirror.since
	}
	anybody := slices.ContainsFunc(b.recipients(o), behind)
	if mirror.Revision() >= is.Revision() {
		if anybody {
			b.tell(o, signals(was, mirror, &changes{before: ch.before, gap: true}), behind)
		}
		mirror.since = 0
		b.mirrors[o] = mirror
		return
	}
	if anybody {
		b.tell(o, signals(was, is, ch), behind)
	}
	b.announce(mirror, is, ch, func(r recipient) bool { return !behind(r) })
}

// announce makes after the mirror of its collection, and sends what has changed
// from before to those who are told and chosen. ch is nil if only time has
// passed. b.mu is held.
func (b *bus) announce(before, after collection, ch *changes, chosen func(recipient) bool) {
	list := signals(before, after, ch)
	var expired []signal
	after.told, expired = expirySignals(before, after)
	b.setMirror(after)
	b.tell(after.Owner(), append(list, expired...), chosen)
}

// everyRecipient chooses everybody who is told.
func everyRecipient(recipient) bool { return true }

// tell sends signals about the collection of o to those who are told and chosen.
func (b *bus) tell(o ccstore.Owner, list []signal, chosen func(recipient) bool) {
	for _, r := range b.recipients(o) {
		if chosen(r) {
			b.tellOne(r, o.UID, list)
		}
	}
}

// tellOne sends those signals about the collection of uid that are for r.
func (b *bus) tellOne(r recipient, uid uint32, list []signal) {
	for _, s := range list {
		if s.reaches(r, uid) {
			b.emit(r.name, s)
		}
	}
}

// emit sends one signal to one connection, or to everybody.
func (b *bus) emit(name string, s signal) {
	msg := &godbus.Message{
		Type: godbus.TypeSignal,
		Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldPath:      godbus.MakeVariant(s.path),
			godbus.FieldInterface: godbus.MakeVariant(s.iface),
			godbus.FieldMember:    godbus.MakeVariant(s.member),
		},
		Body: s.body,
	}
	if name != "" {
		msg.Headers[godbus.FieldDestination] = godbus.MakeVariant(name)
	}
	b.sendMessage(msg)
}
