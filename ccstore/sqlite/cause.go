package sqlite

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// explain adds to an error the errno that tells what is the matter with the disk,
// where that is what failed. One that gives back something else than was written
// fails as much as one that gives back nothing.
func (b *Backend) explain(err error) error {
	if Damaged(err) {
		return fmt.Errorf("%w: %w", unix.EIO, err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	errno := unix.Errno(0)
	switch e.Code() & 0xff { // the rest says in which call
	case codes.SQLITE_FULL:
		errno = unix.ENOSPC
	case codes.SQLITE_IOERR:
		if errno = b.probe(); errno == 0 {
			errno = unix.EIO
		}
	case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN:
		errno = b.probe()
	}
	if errno == 0 {
		return err
	}
	return fmt.Errorf("%w: %w", errno, err)
}

// probe writes to the file system itself and returns why it cannot. SQLite
// knows, but calls nearly all of it an I/O error.
func (b *Backend) probe() unix.Errno {
	_, err := b.lock.WriteAt([]byte{0}, 0)
	if e := b.lock.Truncate(0); err == nil {
		err = e
	}
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}
