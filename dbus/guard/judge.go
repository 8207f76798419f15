package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/introspection"
)

// busName is the name of the bus itself.
const busName = "org.freedesktop.DBus"

// busSignals are the signals that pass, with their signatures. The bus
// sends them to the service alone, or because of a match rule of the service.
var busSignals = map[string]string{"NameOwnerChanged": "sss", "NameLost": "s", "NameAcquired": "s"}

// methods holds the signatures of methods by interface and member, and under the
// interface "" those of a member in any interface.
type methods map[string]map[string][]string

func methodsOf(interfaces []*introspection.Interface) methods {
	m := methods{"": make(map[string][]string)}
	for _, i := range interfaces {
		m[i.Name] = make(map[string][]string)
		for _, one := range i.Methods {
			m[i.Name][one.Name] = []string{one.In()}
			if !slices.Contains(m[""][one.Name], one.In()) {
				m[""][one.Name] = append(m[""][one.Name], one.In())
			}
		}
	}
	return m
}

// refuses returns why the declared methods refuse a call, or "".
func (m methods) refuses(h header) string {
	signatures := m[h.iface][h.member]
	switch {
	case signatures == nil:
		return "unknown method"
	case !slices.Contains(signatures, h.signature):
		return "wrong argument types"
	}
	return ""
}

// inVariants are the types that variants may hold, answers the signatures of the
// answers to the service's calls of the bus, of polkit and of Ping: a library may
// remember each type that it has met.
var (
	inVariants = strings.Fields("y b n q i u x t d s o as ao ay")
	answers    = []string{"", "s", "u", "as", "ay", "(bba{ss})"}
)

// bodyFault returns the fault of the body of a message, or "".
func bodyFault(h header, body []byte) string {
	d := &decoder{order: h.order, b: body, variants: inVariants, fds: h.fds}
	d.values(h.signature)
	if d.bad == "" && d.at != len(body) {
		d.fail("body longer than its signature")
	}
	return d.bad
}

// judge passes a message on, or answers it, or drops it.
func (c *Conn) judge(h header, body []byte) {
	switch h.kind {
	case methodCall:
		c.judgeCall(h, body)
	case signalMessage:
		c.judgeSignal(h, body)
	default:
		c.judgeReply(h, body)
	}
}

func (c *Conn) judgeCall(h header, body []byte) {
	if !isUnique(h.sender) {
		c.logRefusal(h, "call without a valid sender")
		return
	}
	bad := c.methods.refuses(h)
	if bad == "" {
		bad = c.descriptorFault(h)
	}
	if bad == "" {
		bad = bodyFault(h, body)
	}
	call := &Call{Signature: h.signature, Refused: bad, conn: c, sender: h.sender}
	if bad != "" {
		c.logRefusal(h, bad)
		h.body, h.signature, body = 0, "", nil
	}
	if why := c.calls.admit(call, len(body)); why != "" {
		c.overLimit(h, why)
		return
	}
	if bad == "" {
		call.fds, c.fds = c.fds, nil
	}
	c.last = call
	c.pass(h, body)
}

// overLimit passes on the bare header of a call, for an error to answer it. The
// path is left out: it may be as long as a message.
func (c *Conn) overLimit(h header, why string) {
	c.logRefusal(h, why)
	if h.flags&noReplyExpected != 0 {
		return
	}
	c.last = &Call{Refused: why, OverLimit: true}
	h.path, h.body, h.signature = "/", 0, ""
	c.pass(h, nil)
}

func (c *Conn) judgeSignal(h header, body []byte) {
	bad := "unexpected signal"
	if signature, ok := busSignals[h.member]; ok && h.sender == busName && h.iface == busName && h.signature == signature {
		bad = bodyFault(h, body)
	}
	if bad == "" && h.fds > 0 {
		bad = noDescriptors
	}
	if bad != "" {
		c.logRefusal(h, bad)
		return
	}
	c.pass(h, body)
}

const noDescriptors = "file descriptors are not accepted"

// judgeReply passes an expected answer on. It replaces an invalid one by an error,
// so that the caller does not wait in vain.
func (c *Conn) judgeReply(h header, body []byte) {
	c.sent.end(h.replySerial)
	bad := "answer of unexpected types"
	if slices.Contains(answers, h.signature) {
		bad = bodyFault(h, body)
	}
	if bad == "" && h.fds > 0 {
		bad = noDescriptors
	}
	if h.kind == errorReply && (bad != "" || h.signature != "" && h.signature != "s") {
		h.body, h.signature, body = 0, "", nil
		bad = ""
	}
	if bad != "" {
		c.badAnswer(h, bad)
		return
	}
	c.pass(h, body)
}

const errInconsistent = "org.freedesktop.DBus.Error.InconsistentMessage"

// badAnswer passes on an error in place of an answer.
func (c *Conn) badAnswer(h header, bad string) {
	c.logRefusal(h, bad)
	h.kind, h.errorName, h.signature = errorReply, errInconsistent, "s"
	text := appendString(nil, h.order, "the answer was refused: "+bad)
	h.body = uint32(len(text))
	c.pass(h, text)
}

// tooLong judges a message with a body that is too long to be received.
func (c *Conn) tooLong(h header) {
	switch h.kind {
	case methodCall:
		if isUnique(h.sender) {
			c.overLimit(h, fmt.Sprintf("the call is longer than %d bytes", maxCall))
		}
	case signalMessage:
		c.logRefusal(h, "signal too long")
	default:
		c.sent.end(h.replySerial)
		c.badAnswer(h, "answer too long")
	}
}

// pass makes a message readable, with a new header.
func (c *Conn) pass(h header, body []byte) {
	c.buffer = append(h.append(c.buffer[:0]), body...)
	c.rest = c.buffer
}

// The log has at most refusalBurst lines about refusals at once, then one in
// each refusalEvery.
const (
	refusalBurst = 10
	refusalEvery = 10 * time.Second
)

// logRefusal logs why a message was refused, without the path, which may be as long
// as a message.
func (c *Conn) logRefusal(h header, why string) {
	c.refusals.Info("message refused", "why", why, "sender", h.sender, "type", h.kind,
		"interface", h.iface, "member", h.member, "signature", h.signature)
}
