package link

import (
	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/guard"
)

// A Call is a method call of a peer.
type Call struct {
	From        *Peer
	Path        string
	Interface   string // "" if the caller left it out
	Member      string
	Signature   string // of the arguments
	Body        []any  // of that signature, unless refused
	Refused     string // what is wrong with the arguments, "" for nothing
	Interactive bool   // people may be asked for a password

	conn    *Conn
	sender  string
	serial  uint32
	noReply bool
	guarded *guard.Call
}

// intercept takes method calls away from godbus, which would start a goroutine
// for each and so lose their order. It runs between the receipt of two messages.
func (c *Conn) intercept(msg *godbus.Message) {
	if msg.Type != godbus.TypeMethodCall {
		return
	}
	call := newCall(c, msg)
	msg.Type = 0 // godbus ignores a message of no type
	if from := c.peers.enqueue(call); from != nil {
		go c.work(from)
	}
}

func newCall(c *Conn, msg *godbus.Message) *Call {
	header := func(f godbus.HeaderField) any { v := msg.Headers[f]; return v.Value() }
	guarded := c.guard.Call()
	call := &Call{
		Signature:   guarded.Signature,
		Body:        msg.Body,
		Refused:     guarded.Refused,
		Interactive: msg.Flags&godbus.FlagAllowInteractiveAuthorization != 0,
		conn:        c,
		serial:      msg.Serial(),
		noReply:     msg.Flags&godbus.FlagNoReplyExpected != 0,
		guarded:     guarded,
	}
	path, _ := header(godbus.FieldPath).(godbus.ObjectPath)
	call.Path = string(path)
	call.Interface, _ = header(godbus.FieldInterface).(string)
	call.Member, _ = header(godbus.FieldMember).(string)
	call.sender, _ = header(godbus.FieldSender).(string)
	return call
}

// work serves the calls of a peer one after the other.
func (c *Conn) work(from *Peer) {
	for call := c.peers.next(from); call != nil; call = c.peers.next(from) {
		c.serve(call)
	}
}

func (c *Conn) serve(call *Call) {
	defer call.guarded.End()
	if !c.identify(call.From) {
		call.Fail("org.freedesktop.DBus.Error.AccessDenied", "the bus does not know your user id")
		return
	}
	c.server.Serve(call)
}

// Reply answers the call with results.
func (c *Call) Reply(results []any) {
	c.answer(&godbus.Message{Type: godbus.TypeMethodReply, Headers: c.replyHeaders(), Body: results})
}

// Fail answers the call with the error of that name.
func (c *Call) Fail(name, text string) {
	reply := &godbus.Message{Type: godbus.TypeError, Headers: c.replyHeaders(), Body: []any{text}}
	reply.Headers[godbus.FieldErrorName] = godbus.MakeVariant(name)
	c.answer(reply)
}

func (c *Call) answer(reply *godbus.Message) {
	if !c.noReply {
		c.conn.send(reply)
	}
}

func (c *Call) replyHeaders() map[godbus.HeaderField]godbus.Variant {
	return map[godbus.HeaderField]godbus.Variant{
		godbus.FieldDestination: godbus.MakeVariant(c.sender),
		godbus.FieldReplySerial: godbus.MakeVariant(c.serial),
	}
}
