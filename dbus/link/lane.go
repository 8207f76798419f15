package link

import (
	"bytes"
	"encoding/binary"
	"sync"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/guard"
	"kcmd.org/kcmd/dbus/view"
)

// A lane is the order of the messages to a peer. Messages enter it without
// waiting for the bus, and an answer may take its place before it is computed.
type lane struct {
	send func(guard.Message) // waits for the bus

	mu      sync.Mutex
	places  []*place
	sending bool // a goroutine empties the lane
}

// A place is that of one message in a lane.
type place struct {
	message *guard.Message
	taken   bool // by message, or by none if that is nil
}

// reserve returns a place behind all messages so far.
func (l *lane) reserve() *place {
	p := new(place)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = append(l.places, p)
	return p
}

// put puts a message in its place, or leaves that empty if m is nil.
func (l *lane) put(p *place, m *guard.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.taken {
		return
	}
	p.message, p.taken = m, true
	if !l.sending && l.places[0].taken {
		l.sending = true
		go l.empty()
	}
}

// empty sends the messages at the head of the lane.
func (l *lane) empty() {
	for p := l.next(); p != nil; p = l.next() {
		if p.message != nil {
			l.send(*p.message)
		}
	}
}

func (l *lane) next() *place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.places) == 0 || !l.places[0].taken {
		l.sending = false
		return nil
	}
	p := l.places[0]
	l.places[0] = nil
	l.places = l.places[1:]
	return p
}

// A Signal is a signal ready to be sent.
type Signal struct{ message guard.Message }

// NewSignal encodes a signal, once for all that get it.
func NewSignal(s view.Signal) (Signal, error) {
	m := guard.Message{Kind: guard.Signal, Path: string(s.Path), Interface: s.Interface, Member: s.Member}
	var err error
	m.Signature, m.Body, err = encode(s.Body)
	return Signal{m}, err
}

// At returns s from another object.
func (s Signal) At(path view.Path) Signal {
	s.message.Path = string(path)
	return s
}

// Send sends a signal to a peer, or to everybody if that is nil. It does not wait
// for the bus. It returns false, and sends nothing, if the peers of that uid have
// too much to read already.
func (c *Conn) Send(to *Peer, s Signal) bool {
	l := c.all
	if to != nil {
		if !c.charge(to, s.message.Size()) {
			return false
		}
		l, s.message.To = to.lane, to.Name
	}
	l.put(l.reserve(), &s.message)
	return true
}

// encode returns values in little-endian, and their signature.
func encode(values []any) (signature string, body []byte, err error) {
	if len(values) == 0 {
		return "", nil, nil
	}
	of := godbus.SignatureOf(values...)
	message := &godbus.Message{Type: godbus.TypeMethodReply, Body: values, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldReplySerial: godbus.MakeVariant(uint32(1)),
		godbus.FieldSignature:   godbus.MakeVariant(of),
	}}
	var b bytes.Buffer
	if err := message.EncodeTo(&b, binary.LittleEndian); err != nil {
		return "", nil, err
	}
	n := int(binary.LittleEndian.Uint32(b.Bytes()[4:])) // the length of the body, which is last
	return of.String(), b.Bytes()[b.Len()-n:], nil
}
