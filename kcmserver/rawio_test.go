package kcmserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// rawPair returns two sockets that do not block.
func rawPair(t *testing.T) (ours, client uintptr) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		t.Cleanup(func() { unix.Close(fd) })
	}
	return uintptr(fds[0]), uintptr(fds[1])
}

// drain reads all that is there.
func drain(t *testing.T, fd uintptr) (all []byte) {
	t.Helper()
	b := make([]byte, 64<<10)
	for {
		n, err := readNow(fd, b)
		if errors.Is(err, unix.EAGAIN) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b[:n]...)
	}
}

// piecesOf returns so many pieces, of different bytes.
func piecesOf(count, size int) (pieces net.Buffers) {
	for i := range count {
		pieces = append(pieces, bytes.Repeat([]byte{byte(i)}, size+i%3))
	}
	return pieces
}

// TestWriteNow writes to a client that reads only when the socket is full.
func TestWriteNow(t *testing.T) {
	for name, pieces := range map[string]net.Buffers{
		"one piece":                    piecesOf(1, 16),
		"some":                         piecesOf(3, 100),
		"a large one":                  piecesOf(1, 5<<20),
		"large ones":                   piecesOf(3, 2<<20),
		"as many as a call takes":      piecesOf(maxPieces, 1),
		"one more than a call takes":   piecesOf(maxPieces+1, 1),
		"many calls, and a full queue": piecesOf(5000, 600),
	} {
		t.Run(name, func(t *testing.T) {
			ours, client := rawPair(t)
			sent := bytes.Join(pieces, nil)
			var got []byte
			for len(pieces) > 0 {
				rest, err := writeNow(ours, pieces)
				switch {
				case errors.Is(err, unix.EAGAIN):
					got = append(got, drain(t, client)...)
				case err != nil:
					t.Fatal(err)
				}
				pieces = rest
			}
			got = append(got, drain(t, client)...)
			if !bytes.Equal(got, sent) {
				t.Errorf("the client has read %d bytes that are not the %d sent", len(got), len(sent))
			}
		})
	}
}

// TestGoneClient reads from a client that has gone, and writes to it.
func TestGoneClient(t *testing.T) {
	ours, client := rawPair(t)
	if n, err := readNow(ours, make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing is there: %d bytes, error %v", n, err)
	}
	if err := unix.Shutdown(int(client), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if n, err := readNow(ours, make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client has gone: %d bytes, error %v", n, err)
	}
	for _, pieces := range []net.Buffers{piecesOf(1, 1), piecesOf(2, 1)} {
		if rest, err := writeNow(ours, pieces); !errors.Is(err, unix.EPIPE) || len(rest) != len(pieces) {
			t.Errorf("%d pieces for a client that has gone: %d are left, error %v", len(pieces), len(rest), err)
		}
	}
}
