package guard

import (
	"bytes"
	"io"
	"net"
	"strings"
	"syscall"
)

// A descriptorSocket is a Socket that receives file descriptors, as *net.UnixConn does,
// which has them closed when the process executes another program.
type descriptorSocket interface {
	ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
}

// maxDescriptors is how many file descriptors of a message are received. The kernel
// closes the rest. No method takes more.
const maxDescriptors = 2

// Answers of the bus to the question whether it passes file descriptors.
var (
	negotiate = []byte("NEGOTIATE_UNIX_FD\r\n")
	agree     = []byte("AGREE_UNIX_FD\r\n")
)

// negotiate asks the bus for file descriptors, at the end of the authentication, when
// nobody else reads.
func (c *Conn) negotiate() error {
	if _, ok := c.socket.(descriptorSocket); !ok {
		return nil
	}
	if _, err := c.send(negotiate); err != nil {
		return err
	}
	var answer []byte
	for one := make([]byte, 1); !bytes.HasSuffix(answer, []byte("\n")); answer = append(answer, one...) {
		if _, err := io.ReadFull(c.socket, one); err != nil {
			return err
		}
		if len(answer) > maxName {
			return errOutOfStep
		}
	}
	c.passes = bytes.Equal(answer, agree)
	return nil
}

// receive receives bytes of one message, and the file descriptors that come with them.
func (c *Conn) receive(b []byte) (int, error) {
	socket, ok := c.socket.(descriptorSocket)
	if !ok || !c.passes {
		return c.socket.Read(b)
	}
	if c.control == nil {
		c.control = make([]byte, syscall.CmsgSpace(4*maxDescriptors))
	}
	n, controls, _, _, err := socket.ReadMsgUnix(b, c.control)
	if controls > 0 {
		c.fds = append(c.fds, descriptorsIn(c.control[:controls])...)
	}
	return n, err
}

// descriptorsIn returns the file descriptors in control messages.
func descriptorsIn(control []byte) (fds []int) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil // the kernel has written it
	}
	for _, m := range messages {
		if rights, err := syscall.ParseUnixRights(&m); err == nil {
			fds = append(fds, rights...)
		}
	}
	return fds
}

// closeDescriptors closes what came with a message and was not passed on.
func (c *Conn) closeDescriptors() {
	closeAll(c.fds)
	c.fds = nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
}

// descriptorFault returns the fault of the number of file descriptors of a call, or "".
func (c *Conn) descriptorFault(h header) string {
	switch n := uint32(strings.Count(h.signature, "h")); {
	case h.fds != n:
		return "another number of file descriptors than the method takes"
	case int(n) != len(c.fds):
		return "file descriptors did not arrive"
	}
	return ""
}

// Descriptors returns how many file descriptors of the call nobody has taken.
func (c *Call) Descriptors() (n int) {
	for _, fd := range c.fds {
		if fd >= 0 {
			n++
		}
	}
	return n
}

// TakeDescriptor returns the file descriptor that an argument of type h stands for. The
// caller must close it. It is false if the descriptor was taken before. Others are
// closed when the call ends.
func (c *Call) TakeDescriptor(index uint32) (fd int, ok bool) {
	if uint64(index) >= uint64(len(c.fds)) || c.fds[index] < 0 {
		return -1, false
	}
	fd = c.fds[index]
	c.fds[index] = -1
	return fd, true
}

// CloseDescriptors closes those that nobody has taken.
func (c *Call) CloseDescriptors() {
	closeAll(c.fds)
	c.fds = nil
}
