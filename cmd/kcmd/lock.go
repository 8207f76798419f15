package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"kcmd.org/kcmd/flock"
)

// lockTimeout is much longer than a daemon keeps the lock.
const lockTimeout = 5 * time.Second

// lock locks the file at path until unlock is called, which removes the file. The
// file of a killed daemon is not locked.
func lock(path string) (unlock func(), err error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		f, err := tryLock(path)
		if err == nil {
			return func() {
				// Before the release: after it, the file may be another daemon's.
				os.Remove(path)
				f.Close()
			}, nil
		}
		if !errors.Is(err, flock.ErrLocked) || time.Now().After(deadline) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tryLock(path string) (*os.File, error) {
	f, err := flock.Open(path)
	if err != nil {
		return nil, err
	}
	if !isAt(f, path) {
		// The previous daemon removed the file after we opened it.
		f.Close()
		return nil, flock.ErrLocked
	}
	return f, nil
}

// isAt reports whether path names the open file f.
func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
