package link

import (
	"context"
	"fmt"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/dbus/guard"
)

// A Call is a method call of a peer.
type Call struct {
	From        *Peer
	Path        string
	Interface   string // "" if the caller left it out
	Member      string
	Body        []any // of its signature, unless refused
	Interactive bool  // people may be asked for a password
	*guard.Call

	conn    *Conn
	serial  uint32
	noReply bool
	member  *budget.Member
	turn    budget.Turn
	place   *place                // of the answer, if it was reserved
	later   func(context.Context) // see Later

	charged     budget.Account // for that many file descriptors
	descriptors int64
}

const (
	errAccessDenied   = "org.freedesktop.DBus.Error.AccessDenied"
	errLimitsExceeded = "org.freedesktop.DBus.Error.LimitsExceeded"
)

// MaxAnswer bounds an answer: a bus accepts 32 MiB, and disconnects a service
// that sends more.
const MaxAnswer = 24 << 20

// intercept takes messages away from godbus: method calls, for which it would
// start a goroutine each and so lose their order, and answers to Pings. It runs
// between the receipt of two messages.
func (c *Conn) intercept(msg *godbus.Message) {
	switch answer, _ := field(msg, godbus.FieldReplySerial).(uint32); {
	case msg.Type == godbus.TypeMethodCall:
		call := newCall(c, msg)
		sender, _ := field(msg, godbus.FieldSender).(string)
		if c.peers.enqueue(sender, call) {
			c.peers.workers.Go(func() { c.work(call.From) })
		}
	case guard.IsOwn(answer):
		c.answered(answer, msg)
	default:
		return
	}
	msg.Type = 0 // godbus ignores a message of no type
}

// field returns the value of a field of a header, nil if it is not there.
func field(msg *godbus.Message, f godbus.HeaderField) any {
	v := msg.Headers[f]
	return v.Value()
}

func newCall(c *Conn, msg *godbus.Message) *Call {
	call := &Call{
		Body:        msg.Body,
		Interactive: msg.Flags&godbus.FlagAllowInteractiveAuthorization != 0,
		Call:        c.guard.Call(),
		conn:        c,
		serial:      msg.Serial(),
		noReply:     msg.Flags&godbus.FlagNoReplyExpected != 0,
	}
	path, _ := field(msg, godbus.FieldPath).(godbus.ObjectPath)
	call.Path = string(path)
	call.Interface, _ = field(msg, godbus.FieldInterface).(string)
	call.Member, _ = field(msg, godbus.FieldMember).(string)
	return call
}

// work serves the calls of a peer one after the other.
func (c *Conn) work(from *Peer) {
	for call := c.peers.next(from); call != nil; call = c.peers.next(from) {
		c.serve(call)
		if call.later == nil {
			call.End()
			continue
		}
		c.peers.workers.Go(func() {
			defer call.End()
			call.later(from.ctx)
		})
	}
}

// End ends the call, and closes its file descriptors.
func (c *Call) End() {
	c.Call.End()
	c.conn.descriptors.release(c)
}

func (c *Conn) serve(call *Call) {
	known := c.identify(call.From)
	if known && call.descriptors > 0 {
		c.peers.settled(call)
	}
	switch {
	case !known:
		call.Fail(errAccessDenied, "the bus does not know your user id")
	case !c.admit(call.From):
		call.Fail(errLimitsExceeded, "your connections leave too many answers and signals unread; "+
			"read them, answer org.freedesktop.DBus.Peer.Ping, or connect again")
	case call.OverLimit:
		call.Fail(errLimitsExceeded, call.Refused)
	default:
		c.serveInTurn(call)
	}
}

// serveInTurn serves a call when it is the turn of its user.
func (c *Conn) serveInTurn(call *Call) {
	call.member = c.turns.Join(call.From.account())
	defer call.member.Leave()
	if call.beginTurn(call.From.ctx) == nil {
		defer func() { call.turn.End() }() // another one after CheckAuthorization
		c.server.Serve(call)
	}
}

func (c *Call) beginTurn(ctx context.Context) (err error) {
	c.turn, err = c.member.Begin(ctx)
	return err
}

// Later has f, which may take long, called when Serve has returned: it answers the call,
// and later calls of the peer are served meanwhile. The context of f ends when the peer
// leaves the bus.
func (c *Call) Later(f func(ctx context.Context)) { c.later = f }

// Reserve gives the answer its place: before all that is sent to the caller from
// now on, and behind all that was sent before. The last one counts.
func (c *Call) Reserve() {
	if c.place != nil {
		c.From.lane.put(c.place, nil)
	}
	c.place = c.From.lane.reserve()
}

// Reply answers the call with results.
func (c *Call) Reply(results []any) {
	signature, body, err := encode(results)
	switch {
	case err != nil:
		c.conn.Logger.Error("cannot encode an answer", "member", c.Member, "err", err)
		c.Fail("org.freedesktop.DBus.Error.Failed", "internal error")
	case len(body) > MaxAnswer:
		c.Fail(errLimitsExceeded, fmt.Sprintf("the answer takes %d bytes; allowed: %d; ask for one collection or cache", len(body), MaxAnswer))
	case !c.answer(guard.Message{Kind: guard.Reply, Signature: signature, Body: body}):
		c.Fail(errLimitsExceeded, "your connections leave too many answers and signals unread for one of this length")
	}
}

// Fail answers the call with the error of that name. A caller that does not read
// its answers may get none.
func (c *Call) Fail(name, text string) {
	signature, body, _ := encode([]any{text})
	if !c.answer(guard.Message{Kind: guard.Error, ErrorName: name, Signature: signature, Body: body}) {
		c.From.lane.put(c.place, nil)
	}
}

// answer sends an answer, if its length is within the budget of the caller.
func (c *Call) answer(m guard.Message) bool {
	if c.place == nil {
		c.Reserve()
	}
	if c.noReply {
		c.From.lane.put(c.place, nil)
		return true
	}
	if !c.conn.charge(c.From, m.Size()) {
		return false
	}
	m.To, m.ReplySerial = c.From.Name, c.serial
	c.From.lane.put(c.place, &m)
	return true
}
