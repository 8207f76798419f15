package kcmserver

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file read and write a socket that does not block. They are raw system
// calls, of which the scheduler of the runtime is not told: unix.Read and net.Conn would
// have its monitor wake up at each request, and look every 20 us until the next rest whether
// the call blocks. On one processor each look takes it away from the client and from kcmd.

// maxPieces is how many pieces a call writes at most (UIO_MAXIOV, writev(2)).
const maxPieces = 1024

// readNow reads what is there. It fails with unix.EAGAIN if that is nothing.
func readNow(fd uintptr, b []byte) (int, error) {
	n, err := rawCall(unix.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

// writeNow writes of the pieces what the socket takes in one call, and returns the rest. It
// fails with unix.EAGAIN if the socket takes nothing.
func writeNow(fd uintptr, pieces net.Buffers) (net.Buffers, error) {
	n, err := writeSome(fd, pieces)
	if err != nil {
		return pieces, err
	}
	return without(pieces, n), nil
}

// writeSome returns how many bytes it has written.
func writeSome(fd uintptr, pieces net.Buffers) (int, error) {
	if b := pieces[0]; len(pieces) == 1 {
		return rawCall(unix.SYS_WRITE, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
	}
	vector := make([]unix.Iovec, min(len(pieces), maxPieces))
	for i := range vector {
		vector[i].Base = unsafe.SliceData(pieces[i])
		vector[i].SetLen(len(pieces[i]))
	}
	return rawCall(unix.SYS_WRITEV, fd, unsafe.Pointer(unsafe.SliceData(vector)), len(vector))
}

// without returns pieces without the first n bytes.
func without(pieces net.Buffers, n int) net.Buffers {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}

// rawCall makes a system call again until no signal interrupts it.
func rawCall(trap, fd uintptr, p unsafe.Pointer, n int) (int, error) {
	for {
		r, _, errno := syscall.RawSyscall(trap, fd, uintptr(p), uintptr(n))
		switch {
		case errno == 0:
			return int(r), nil
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}
