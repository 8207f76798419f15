package guard

import (
	"errors"
	"slices"
)

// Limits of the guard.
const (
	// maxCall is the limit of a method call or a signal. No method needs more.
	maxCall = 64 << 10

	// maxReply is the limit of an answer of the bus: the names on a large bus take
	// a tenth of it.
	maxReply = 4 << 20
)

var errOutOfStep = errors.New("guard: the bus sent an invalid message")

// sizes returns the length of the header of a message, with its padding, and of
// the whole message, from the fixed part of its header. It returns false for an
// invalid one.
func sizes(b []byte) (head, total uint64, ok bool) {
	if len(b) < fixedHeader {
		return 0, 0, false
	}
	o := orderOf(b[0])
	if o == nil || b[3] != 1 {
		return 0, 0, false
	}
	fields := o.Uint32(b[12:])
	head = fixedHeader + (uint64(fields)+7)&^7
	total = head + uint64(o.Uint32(b[4:]))
	return head, total, fields <= maxArray && total <= maxMessage
}

// next receives one message and judges it. An error is the end of the connection.
func (c *Conn) next() error {
	c.Call().End() // the reader did not take it
	defer c.closeDescriptors()
	if max(cap(c.buffer), cap(c.message)) > 2*maxCall {
		c.buffer, c.message = nil, nil
	}
	c.message = c.message[:0]
	if err := c.fill(fixedHeader); err != nil {
		return err
	}
	head, total, ok := sizes(c.message)
	if !ok {
		return errOutOfStep
	}
	if head > maxCall {
		c.logRefusal(header{}, "header too long")
		return c.discard(total - fixedHeader)
	}
	if err := c.fill(int(head) - fixedHeader); err != nil {
		return err
	}
	h, bad := parseHeader(c.message)
	if bad != "" {
		c.logRefusal(h, bad)
		return c.discard(total - head)
	}
	h.flags &= knownFlags
	limit := uint64(maxCall)
	if h.kind == methodReturn || h.kind == errorReply {
		if !c.sent.awaits(h) {
			c.logRefusal(h, "unexpected answer")
			return c.discard(total - head)
		}
		limit = maxReply
	}
	if total > limit {
		if err := c.discard(total - head); err != nil {
			return err
		}
		c.tooLong(h)
		return nil
	}
	if err := c.fill(int(h.body)); err != nil {
		return err
	}
	c.judge(h, c.message[head:])
	return nil
}

// fill receives n more bytes of the message. Memory grows with the bytes that have
// arrived, not with the length in the header.
func (c *Conn) fill(n int) error {
	for n > 0 {
		step := min(n, max(len(c.message), 4<<10))
		c.message = slices.Grow(c.message, step)
		got, err := c.receive(c.message[len(c.message) : len(c.message)+step])
		if err != nil {
			return err
		}
		c.message = c.message[:len(c.message)+got]
		n -= got
	}
	return nil
}

// discard receives n bytes and drops them.
func (c *Conn) discard(n uint64) error {
	room := make([]byte, min(n, maxCall))
	for n > 0 {
		got, err := c.receive(room[:min(n, uint64(len(room)))])
		if err != nil {
			return err
		}
		n -= uint64(got)
	}
	return nil
}
