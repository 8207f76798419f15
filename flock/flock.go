// Package flock locks files with flock(2), by which one process at a time uses
// what a file stands for. The kernel releases the lock of a process that ends.
//
// It is a leaf: it imports nothing of kcmd's.
//
// Files: flock.go has all of it.
package flock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked is the error for a file that another process has locked.
var ErrLocked = errors.New("another process uses it")

// Open opens the file at path and locks it. A missing file is created with mode
// 0600. A symbolic link is an error. The lock lasts until the file is closed.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Lock locks an open file. It does not wait: if another process, or another
// opening of the file, has the lock, it returns ErrLocked.
func Lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}
