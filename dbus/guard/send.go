package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"
)

// A Message is a message of the service, in little-endian.
type Message struct {
	header header
	body   []byte
}

// Reply returns the answer to the call of a connection with that serial.
func Reply(to string, serial uint32) Message {
	return newMessage(header{kind: methodReturn, flags: noReplyExpected, destination: to, replySerial: serial})
}

// Error returns an answer with the error of that name.
func Error(to string, serial uint32, name string) Message {
	m := Reply(to, serial)
	m.header.kind, m.header.errorName = errorReply, name
	return m
}

// Signal returns a signal to everybody.
func Signal(path, iface, member string) Message {
	return newMessage(header{kind: signalMessage, flags: noReplyExpected, path: path, iface: iface, member: member})
}

// Ping returns a call that every D-Bus library answers. Nobody can guess its
// serial: who answers has read it.
func Ping(to string) Message {
	return newMessage(header{kind: methodCall, flags: noAutoStart, destination: to, path: "/", iface: "org.freedesktop.DBus.Peer", member: "Ping"})
}

// own marks the serials of a Message. The library counts its own from 1.
const own = 1 << 31

// IsOwn reports whether a Message may have that serial.
func IsOwn(serial uint32) bool { return serial&own != 0 }

func newMessage(h header) Message {
	h.order, h.serial = binary.LittleEndian, rand.Uint32()|own
	return Message{header: h}
}

// With returns m with a body of that signature in little-endian.
func (m Message) With(signature string, body []byte) Message {
	m.header.signature, m.header.body, m.body = signature, uint32(len(body)), body
	return m
}

// To returns m for one connection.
func (m Message) To(name string) Message {
	m.header.destination = name
	return m
}

// At returns m from another object.
func (m Message) At(path string) Message {
	m.header.path = path
	return m
}

// Serial returns the serial of m, which answers to it name.
func (m Message) Serial() uint32 { return m.header.serial }

// Size returns about how many bytes a bus counts for m.
func (m Message) Size() int64 { return int64(len(m.body)) + 256 }

// Send sends m. It waits for the bus.
func (c *Conn) Send(m Message) {
	if m.header.kind == methodCall {
		c.sent.add(m.header.serial, m.header.destination)
	}
	_, _ = c.send(m.header.append(nil), m.body) // after an error the next Read fails
}

var begin = []byte("BEGIN\r\n")

// Write sends whole messages of the library to the bus.
func (c *Conn) Write(b []byte) (int, error) {
	if c.begun.Load() {
		if err := c.note(b); err != nil {
			return 0, err
		}
	} else if bytes.Equal(b, begin) {
		c.begun.Store(true)
	}
	return c.send(b)
}

// note remembers the calls of the service: only answers to them pass.
func (c *Conn) note(b []byte) error {
	n, total, ok := sizes(b)
	if !ok || total != uint64(len(b)) {
		return errors.New("guard: not a whole message to send")
	}
	h, bad := parseHeader(b[:n])
	if bad != "" {
		return errors.New("guard: message to be sent: " + bad)
	}
	if h.kind == methodCall && h.flags&noReplyExpected == 0 {
		c.sent.add(h.serial, h.destination)
	}
	return nil
}

// writeTimeout is how long the bus may take to accept a message. A bus that
// takes longer has ended or hangs: the connection is of no use.
const writeTimeout = 30 * time.Second

// send sends all parts. After an error the stream is unusable: send closes it,
// and the next Read fails.
func (c *Conn) send(parts ...[]byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.socket.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		wrote, err := c.socket.Write(part)
		n += wrote
		if err != nil {
			c.Close()
			return n, err
		}
	}
	return n, nil
}
