// Package guard filters messages between a bus and the D-Bus library of a service.
// Any connection on the bus may send the service anything, and a library decodes
// all of it: the guard passes on only messages that the service uses.
//
// The guard passes on the following, each with a header that it has written itself:
//
//   - method calls of up to 64 KiB, of methods that the XML declares, with
//     exactly the arguments that it declares, of which all bytes are checked.
//     Variants hold numbers, strings, paths, or arrays of bytes, strings or paths;
//   - other method calls, without their arguments and marked as refused, so that
//     the answer of the service does not depend on more than the caller may know,
//     and calls over a limit, marked as such;
//   - answers to calls of the service, from the connection that it called;
//   - the signals of the bus itself about names.
//
// The guard drops the rest. It keeps the file descriptors of a call that passes, as
// many as the method declares, for the service to take, and closes all others. The
// library does not see them.
//
// It imports introspection and the leaf ratelog, and no D-Bus library.
//
// Files, in the order in which to read them: guard.go (a connection), receive.go
// (from bytes to a message), header.go and wire.go (the formats), judge.go (which
// messages pass), calls.go (how many calls may wait), descriptors.go (file descriptors
// of calls), send.go (what the service sends).
//
// Reference: D-Bus specification, "Message Protocol".
package guard

import (
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/introspection"
	"kcmd.org/kcmd/ratelog"
)

// A Socket is the part of *net.UnixConn that a Conn uses.
type Socket interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// Config configures a Conn.
type Config struct {
	Interfaces []*introspection.Interface // whose methods may be called
	Logger     *slog.Logger               // default: none
}

// A Conn is a connection to a bus. A D-Bus library reads from it and writes to
// it as if it were the socket, whole messages in each Write.
type Conn struct {
	socket   Socket
	methods  methods
	refusals *ratelog.Logger

	begun  atomic.Bool // authentication is over
	passes bool        // the bus passes file descriptors
	calls  calls
	sent   sent

	// Of the goroutine that reads.
	message []byte // as received
	fds     []int  // that came with it
	control []byte // in which they come
	buffer  []byte // as passed on
	rest    []byte // the part of buffer that was not read yet
	last    *Call  // the method call that was read last, or nil

	writing sync.Mutex
}

// New returns a Conn over a socket that is connected to a bus, before
// authentication.
func New(socket Socket, c Config) *Conn {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Conn{
		socket:   socket,
		methods:  methodsOf(c.Interfaces),
		refusals: ratelog.New(c.Logger, refusalBurst, refusalEvery),
		calls:    calls{bySender: make(map[string]*waiting)},
		sent:     sent{bySerial: make(map[uint32]string)},
	}
}

// Read reads the messages that pass. During authentication it reads everything.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if !c.begun.Load() {
		return c.socket.Read(b)
	}
	for len(c.rest) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Call returns the method call that was read last. The caller must End it. It
// returns nil if the last message was not a method call, or was returned before.
// Only the goroutine that reads may call it.
func (c *Conn) Call() *Call {
	call := c.last
	c.last = nil
	return call
}

// Close closes the socket.
func (c *Conn) Close() error { return c.socket.Close() }
