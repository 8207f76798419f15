package kcmserver

import (
	"bufio"
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Bytes of memory for a request, and of memory for its reply.
const (
	freeMemory = 4 << 10  // is not charged: enough for a ticket of a usual size
	keepMemory = 64 << 10 // is used again
)

// Buffers are the memory of a connection while it has a request. A connection that
// waits for one has none, so that thousands of idle ones take little.
type buffers struct {
	in   *bufio.Reader
	from source // of in
	body []byte // of the request
	out  reply
}

var spareBuffers = sync.Pool{New: func() any {
	b := new(buffers)
	b.in = bufio.NewReaderSize(&b.from, freeMemory)
	b.out.begin()
	return b
}}

// A source is what buffers read from: a connection, or its descriptor if that is not
// 0, without waiting. Without both it reads as zeros without end.
type source struct {
	conn net.Conn
	fd   uintptr
}

func (s *source) Read(b []byte) (int, error) {
	switch {
	case s.fd != 0:
		return readNow(s.fd, b)
	case s.conn != nil:
		return s.conn.Read(b)
	}
	clear(b)
	return len(b), nil
}

// await waits for the first byte of a request, and takes buffers for it.
func (c *conn) await() error {
	if c.buffers == nil && c.raw != nil {
		if err := c.raw.Read(c.first); err != nil {
			return err
		}
		return c.firstErr
	}
	if c.buffers == nil {
		c.takeBuffers()
	}
	_, err := c.in.Peek(1)
	return err
}

func (c *conn) takeBuffers() {
	c.buffers = spareBuffers.Get().(*buffers)
	c.in.Reset(&c.from) // without the zeros
	c.from.conn = c.net
}

// readFirst reads the beginning of a request, and reports whether there was one, or an
// error. To ask the kernel before, and to take buffers then, is a call more.
func (c *conn) readFirst(fd uintptr) bool {
	c.takeBuffers()
	c.from.fd = fd
	_, c.firstErr = c.in.Peek(1)
	c.from.fd = 0
	if !errors.Is(c.firstErr, unix.EAGAIN) {
		return true
	}
	c.from.conn = nil
	spareBuffers.Put(c.buffers)
	c.buffers, c.firstErr = nil, nil
	return false
}

// giveBuffers gives the buffers back, and overwrites them: they had session keys.
func (c *conn) giveBuffers() {
	b := c.buffers
	if b == nil {
		return
	}
	c.buffers = nil
	b.from = source{}
	b.in.Reset(&b.from)
	_, _ = b.in.Peek(b.in.Size())
	b.emptyBody()
	b.out.begin()
	spareBuffers.Put(b)
}

// emptyBody empties the body, and keeps its memory unless it is much.
func (b *buffers) emptyBody() {
	clear(b.body)
	b.body = b.body[:0]
	if cap(b.body) > keepMemory {
		b.body = nil
	}
}
