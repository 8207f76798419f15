package link

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadAll reads pipes and sockets that block, whose ends do not come, or in pieces.
// The flags of the caller's own end stay as they are.
func TestReadAll(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, ends := range map[string][2]int{"pipe": pipe, "socket": socket} {
		d, other := &Descriptor{ends[0]}, os.NewFile(uintptr(ends[1]), what)
		defer d.Close()
		defer other.Close()
		if _, err := other.WriteString("half"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if b, err := d.ReadAll(ctx, 1000); !errors.Is(err, ErrDescriptor) {
			t.Errorf("a %s without an end: %q, %v", what, b, err)
		}
		flags, err := unix.FcntlInt(uintptr(ends[0]), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("the flags of the %s are %#x", what, flags)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := d.ReadAll(ctx, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who leaves: %v", err)
		}
		go func() {
			for range 1000 {
				_, _ = other.Write([]byte("x"))
			}
			other.Close()
		}()
		if b, err := d.ReadAll(t.Context(), 1000); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("x"), 1000)) {
			t.Errorf("a %s in pieces: %d bytes, %v", what, len(b), err)
		}
	}
}
