package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
)

// descriptors bounds the file descriptors of calls that are not answered yet.
type descriptors struct{ pool *budget.Pool }

// stranger is charged for the first calls of connections, until the bus says whose they
// are.
var stranger = budget.Account{Namespace: "not known yet"}

// charge charges the user of a call, which is refused if the user has too many
// descriptors with us. peers.mu is held.
func (d *descriptors) charge(c *Call) {
	n := int64(c.Descriptors())
	if n == 0 {
		return
	}
	account := stranger
	if c.From.identity.Load() != nil {
		account = c.From.account()
	}
	if d.pool.Take(account, n) != nil {
		c.CloseDescriptors()
		c.OverLimit = true
		c.Refused = "calls with too many file descriptors are under way"
		return
	}
	c.charged, c.descriptors = account, n
}

// release ends the charge for a call.
func (d *descriptors) release(c *Call) {
	d.pool.Give(c.charged, c.descriptors)
	c.descriptors = 0
}

// identified notes whose connection a peer is, who is charged for its calls from now on.
func (p *peers) identified(peer *Peer, identity *Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer.identity.Store(identity)
	for _, call := range peer.queue {
		p.descriptors.settle(call)
	}
}

// settle charges the user of a call in place of the stranger. peers.mu is held.
func (d *descriptors) settle(c *Call) {
	if c.descriptors > 0 && c.charged == stranger {
		d.release(c)
		d.charge(c)
	}
}

// settled charges the user of a call that has left the queue.
func (p *peers) settled(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.descriptors.settle(c)
}

// A Handle is an argument of type h.
type Handle uint32

// A Descriptor is a file descriptor of a caller.
type Descriptor struct{ fd int }

// ErrDescriptor is wrapped by errors that are for the caller.
var ErrDescriptor = errors.New("file descriptor is not allowed")

// Take returns the descriptor of an argument. The caller must close it.
func (c *Call) Take(h Handle) (*Descriptor, error) {
	fd, ok := c.TakeDescriptor(uint32(h))
	if !ok {
		return nil, fmt.Errorf("%w: two arguments have the same", ErrDescriptor)
	}
	return &Descriptor{fd}, nil
}

// Close closes the descriptor.
func (d *Descriptor) Close() { _ = unix.Close(d.fd) }

// errAgain is the error of a read that would have to wait.
var errAgain = errors.New("nothing to read yet")

// ReadAll reads up to the end of a pipe, a stream socket or a file in memory
// (memfd_create(2)), of at most that many bytes. The result is not copied anywhere, and
// overwritten after an error. It waits no longer than ctx, whatever the caller does with
// its own end: the flags of the descriptor are the caller's too and say nothing, so each
// read asks not to wait.
func (d *Descriptor) ReadAll(ctx context.Context, most int) ([]byte, error) {
	read, done, err := d.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	b := make([]byte, most+1)
	n := 0
	for n < len(b) {
		got, err := read(b[n:], int64(n))
		n += got
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			return b[:n], nil
		case errors.Is(err, errAgain):
			err = d.await(ctx)
		}
		if err != nil {
			clear(b)
			return nil, err
		}
	}
	clear(b)
	return nil, fmt.Errorf("%w: it has more than %d bytes", ErrDescriptor, most)
}

// reader returns what reads from the descriptor without waiting, at an offset if it has
// one, and what to call in the end.
func (d *Descriptor) reader() (read func(b []byte, at int64) (int, error), done func(), err error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	done = func() {}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		if kind, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_STREAM {
			return func(b []byte, _ int64) (int, error) {
				n, _, err := unix.Recvfrom(d.fd, b, unix.MSG_DONTWAIT)
				return result(n, err)
			}, done, nil
		}
	case unix.S_IFREG: // of other files, a read may wait for a network or for another process
		if _, err := unix.FcntlInt(uintptr(d.fd), unix.F_GET_SEALS, 0); err == nil {
			return func(b []byte, at int64) (int, error) { return result(unix.Pread(d.fd, b, at)) }, done, nil
		}
	case unix.S_IFIFO:
		return d.pipe()
	}
	return nil, nil, fmt.Errorf("%w; allowed: a pipe, a stream socket, or a file in memory (memfd_create)", ErrDescriptor)
}

// pipe returns the same for a pipe. Its bytes go through a pipe of our own: splice(2)
// has a flag not to wait, read(2) has none.
func (d *Descriptor) pipe() (read func(b []byte, at int64) (int, error), done func(), err error) {
	var own [2]int
	if err := unix.Pipe2(own[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, nil, err
	}
	done = func() {
		_ = unix.Close(own[0])
		_ = unix.Close(own[1])
	}
	return func(b []byte, _ int64) (int, error) {
		n, err := unix.Splice(d.fd, nil, own[1], nil, len(b), unix.SPLICE_F_NONBLOCK)
		if err != nil || n == 0 {
			return result(int(n), err)
		}
		return result(unix.Read(own[0], b[:n]))
	}, done, nil
}

// result turns the result of a system call into that of a read.
func result(n int, err error) (int, error) {
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, errAgain
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrDescriptor, err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// await waits until there may be something to read. It looks at ctx now and then, and
// pauses: another reader may take what has come.
func (d *Descriptor) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Millisecond):
	}
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}, 100)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return nil
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: its end did not come in time; close the other one", ErrDescriptor)
	}
	return ctx.Err()
}
