package guard

import (
	"fmt"
	"sync"
)

// How many calls may be on their way through the service.
const (
	// maxCalls is the limit of one sender. dbus-daemon has the same limit: a
	// program that opens a hundred proxies at once is not hostile.
	maxCalls = 128

	// maxSenderBytes is the limit of the arguments of one sender together.
	maxSenderBytes = 4 * maxCall

	// maxBytes is the limit of all senders together. A small call of a sender
	// without another one is not subject to it.
	maxBytes = 256 * maxCall
	small    = 4 << 10
)

// A Call describes a method call that the guard let through.
type Call struct {
	// Signature is the signature of the arguments that it came with.
	Signature string

	// Refused is the fault of the call, or "". A refused call has lost its
	// arguments, and one that is refused because it is over a limit its path too.
	Refused   string
	OverLimit bool

	conn   *Conn
	sender string
	size   int
	fds    []int // that it came with, -1 for one that was taken
	ended  bool  // guarded by calls.mu
}

// End ends the call: it is answered or never will be. It closes the file descriptors
// that nobody has taken. The second time it does nothing.
func (c *Call) End() {
	if c != nil && c.conn != nil {
		c.conn.calls.end(c)
		c.CloseDescriptors()
	}
}

// calls are the calls that have passed and not ended.
type calls struct {
	mu       sync.Mutex
	bySender map[string]*waiting
	bytes    int
}

// waiting counts the calls of one sender, and the bytes of their arguments.
type waiting struct{ calls, bytes int }

// admit lets in a call with arguments of that size, or returns why not.
func (c *calls) admit(call *Call, size int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.bySender[call.sender]
	first := of == nil
	if first {
		of = new(waiting)
	}
	switch {
	case of.calls >= maxCalls:
		return fmt.Sprintf("more than %d calls are waiting", maxCalls)
	case of.bytes+size > maxSenderBytes:
		return fmt.Sprintf("calls of more than %d bytes are waiting", maxSenderBytes)
	case c.bytes+size > maxBytes && !(first && size <= small):
		return "the service is busy"
	}
	call.size = size
	c.bySender[call.sender] = of
	of.calls++
	of.bytes += size
	c.bytes += size
	return ""
}

func (c *calls) end(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.ended {
		return
	}
	call.ended = true
	of := c.bySender[call.sender]
	of.calls--
	of.bytes -= call.size
	c.bytes -= call.size
	if of.calls == 0 {
		delete(c.bySender, call.sender)
	}
}

// sent are the calls of the service that are not answered yet.
type sent struct {
	mu       sync.Mutex
	bySerial map[uint32]string // the destination
}

// maxSent bounds the calls without an answer that are remembered.
const maxSent = 64 << 10

func (s *sent) add(serial uint32, destination string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bySerial) >= maxSent {
		for any := range s.bySerial {
			delete(s.bySerial, any)
			break
		}
	}
	s.bySerial[serial] = destination
}

// awaits reports whether h answers a call and comes from its destination. The bus
// may answer for any destination.
func (s *sent) awaits(h header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	called, ok := s.bySerial[h.replySerial]
	switch {
	case !ok:
		return false
	case h.sender == busName:
		return true
	case isUnique(called):
		return h.sender == called
	}
	// The destination is a well-known name. The header does not say who owns it,
	// but the bus passes on only the answer of its owner.
	return called != busName && isUnique(h.sender)
}

// end forgets a call that is answered.
func (s *sent) end(serial uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bySerial, serial)
}
