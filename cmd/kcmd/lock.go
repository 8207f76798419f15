package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockTimeout is far longer than a daemon holds the lock for.
const lockTimeout = 5 * time.Second

// lock keeps other daemons from what path guards, until unlock is called. The
// file at path goes when it is unlocked; one that a killed daemon has left is
// not locked.
func lock(path string) (unlock func(), err error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		f, err := tryLock(path)
		if err == nil {
			return func() {
				// While it is locked: else it might be another one's.
				os.Remove(path)
				f.Close()
			}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !isAt(f, path) {
		// The one who held the lock has removed the file since it was opened.
		err = unix.EWOULDBLOCK
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isAt tells whether f is the file that path names.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
