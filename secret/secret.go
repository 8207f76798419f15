// Package secret keeps passwords within the process that reads them.
//
// It imports nothing of ours. Its file is secret.go.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// MaxPassword is the longest password that kcmd takes, in bytes.
const MaxPassword = 1022

// ErrTooLong is the error for a longer password.
var ErrTooLong = fmt.Errorf("the password is too long; allowed: %d bytes", MaxPassword)

// Harden keeps passwords out of core dumps, and other processes of the user out of the
// memory.
func Harden() error {
	// Lowering a limit needs no privilege.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	// A core_pattern with a pipe ignores the limit, but not this flag.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot switch off core dumps: %w", err)
	}
	return nil
}

// ReadLine reads a line, without its end. It reads byte by byte into one buffer, so
// that no copy of the line remains, nor is more taken from a pipe. The caller
// overwrites it.
func ReadLine(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, MaxPassword+1)
	for len(line) < cap(line) {
		n, err := r.Read(line[len(line) : len(line)+1])
		line = line[:len(line)+n]
		if bytes.HasSuffix(line, []byte("\n")) {
			return line[:len(line)-1], nil
		}
		if err != nil {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				return line, nil
			}
			clear(line)
			return nil, fmt.Errorf("cannot read the password: %w", err)
		}
	}
	clear(line)
	return nil, ErrTooLong
}
