package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"
)

// A Message is a message of the service, to everybody if To is empty. A signal
// has Path, Interface and Member, an answer ReplySerial, and an error ErrorName
// too. Body is in little-endian.
type Message struct {
	Kind                    byte
	To                      string
	Path, Interface, Member string
	ReplySerial             uint32
	ErrorName               string
	Signature               string
	Body                    []byte

	serial uint32 // default: any
}

// own marks the serials of a Message. The library counts its own from 1.
const own = 1 << 31

// IsOwn reports whether a Message may have that serial.
func IsOwn(serial uint32) bool { return serial&own != 0 }

// Ping returns a call that every D-Bus library answers, and its serial,
// which cannot be guessed: a peer that answers has read the call.
func Ping(to string) (Message, uint32) {
	serial := rand.Uint32() | own
	return Message{Kind: methodCall, To: to, Path: "/", Interface: "org.freedesktop.DBus.Peer", Member: "Ping", serial: serial}, serial
}

// Size returns about how many bytes a bus counts for m.
func (m *Message) Size() int64 { return int64(len(m.Body)) + 256 }

// Send sends m. It waits for the bus. After an error the next Read fails.
func (c *Conn) Send(m Message) {
	h := header{
		order: binary.LittleEndian, kind: m.Kind, flags: noReplyExpected, body: uint32(len(m.Body)), serial: rand.Uint32() | own,
		path: m.Path, iface: m.Interface, member: m.Member, errorName: m.ErrorName,
		replySerial: m.ReplySerial, destination: m.To, signature: m.Signature,
	}
	if m.Kind == methodCall {
		h.flags, h.serial = noAutoStart, m.serial
		c.sent.add(h.serial, h.destination)
	}
	_, _ = c.send(h.append(nil), m.Body)
}

var begin = []byte("BEGIN\r\n")

// Write sends whole messages of the library to the bus.
func (c *Conn) Write(b []byte) (int, error) {
	if c.begun.Load() {
		if err := c.note(b); err != nil {
			return 0, err
		}
	} else if bytes.Equal(b, begin) {
		if err := c.negotiate(); err != nil {
			return 0, err
		}
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
