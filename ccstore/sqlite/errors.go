package sqlite

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// errCorrupt is the error for damage that SQLite itself does not notice.
var errCorrupt = errors.New("database is damaged")

// notAsWritten is the error for a row with a value that kcmd never writes.
func notAsWritten(err error) error { return fmt.Errorf("%w: %w", errCorrupt, err) }

// primary returns the primary result code of an error of SQLite, 0 for others. The
// extended code, which names the failed call, is not needed.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// Damaged reports whether err means that a database is damaged. A database that
// cannot be used, or is not kcmd's, is not damaged.
func Damaged(err error) bool {
	code := primary(err)
	return code == codes.SQLITE_CORRUPT || code == codes.SQLITE_NOTADB || errors.Is(err, errCorrupt)
}

// noted returns err with the errno of its cause if the disk caused it, EIO for
// damage. Damage it also logs and marks.
func (b *Backend) noted(err error) error {
	errno := unix.Errno(0)
	switch code := primary(err); {
	case Damaged(err):
		b.damaged.Do(func() { b.mark(err) })
		errno = unix.EIO
	case code == codes.SQLITE_FULL:
		errno = unix.ENOSPC
	case code == codes.SQLITE_IOERR:
		if errno = b.probe(); errno == 0 {
			errno = unix.EIO
		}
	case code == codes.SQLITE_READONLY, code == codes.SQLITE_CANTOPEN:
		errno = b.probe()
	}
	if errno == 0 {
		return err
	}
	return fmt.Errorf("%w: %w", errno, err)
}

// probe writes to the file system of the database and returns the errno of a
// failure. SQLite does not tell it: it reports nearly every failure as an I/O error.
func (b *Backend) probe() unix.Errno {
	_, err := b.lock.WriteAt([]byte{0}, 0)
	if e := b.lock.Truncate(0); err == nil {
		err = e
	}
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}
