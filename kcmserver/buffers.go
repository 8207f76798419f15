package kcmserver

import (
	"bufio"
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
	body []byte // of the request
	out  reply
}

var spareBuffers = sync.Pool{New: func() any {
	b := &buffers{in: bufio.NewReaderSize(nil, freeMemory)}
	b.out.begin()
	return b
}}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// await waits for the first byte of a request, and takes buffers for it.
func (c *conn) await() error {
	if c.buffers == nil {
		if c.raw != nil {
			c.polled = false
			if err := c.raw.Read(c.unread); err != nil {
				return err
			}
		}
		c.buffers = spareBuffers.Get().(*buffers)
		c.in.Reset(c.net)
	}
	_, err := c.in.Peek(1)
	return err
}

// isReadable reports whether there is something to read, or was while the runtime
// waited.
func (c *conn) isReadable(fd uintptr) bool {
	if c.polled {
		return true
	}
	c.polled = true
	c.pollFD[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	for {
		n, err := unix.Poll(c.pollFD[:], 0)
		if err != unix.EINTR {
			return n != 0
		}
	}
}

// giveBuffers gives the buffers back, and overwrites them: they had session keys.
func (c *conn) giveBuffers() {
	b := c.buffers
	if b == nil {
		return
	}
	c.buffers = nil
	b.in.Reset(zeros{})
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
