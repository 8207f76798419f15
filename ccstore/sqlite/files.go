package sqlite

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of a database that this process has claimed.
type files struct {
	path string // absolute, without symbolic links but for the file itself
	log  *slog.Logger
	used bool     // a kcmd used the path before
	ours bool     // the database is or was kcmd's
	lock *os.File // locked by the process that uses the path
	file *os.File // the database, locked by the process that uses it by any path
}

// lockSuffix is that of the file which the process that uses the database has
// locked. It stays, and shows that the database is ours.
const lockSuffix = "-lock"

// claim has no other process use the database at path, and no other user change
// it. A file that is none of kcmd's is refused.
func claim(path string, log *slog.Logger) (*files, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f := &files{path: path, log: log, used: exists(path + lockSuffix)}
	if f.ours, err = checkBeginning(path, f.used); err != nil {
		return nil, err
	}
	if f.lock, err = lockFile(path + lockSuffix); err != nil {
		return nil, err
	}
	return f, nil
}

// release ends the claim after a failure, and leaves no trace beside a file that
// is not ours.
func (f *files) release() {
	f.letGo()
	f.lock.Close()
	if !f.used {
		os.Remove(f.path + lockSuffix)
	}
}

// hold creates the database if it is missing, and locks it: it may have another
// name, at which another process uses it. SQLite loses its own locks when anybody
// in the process closes the file, so that it stays open until SQLite has closed it.
func (f *files) hold() (err error) {
	if f.file != nil {
		return nil
	}
	if f.file, err = createFile(f.path); err != nil {
		return err
	}
	if err = tryLock(f.file); err != nil {
		f.letGo()
	}
	return err
}

// letGo gives the database free. SQLite has closed it.
func (f *files) letGo() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// checkBeginning refuses a file that is no database at all, unless kcmd used it
// and it is damaged. It reports whether the file is or was ours.
func checkBeginning(path string, used bool) (ours bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return used, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	header := make([]byte, 72)
	n, err := io.ReadFull(f, header)
	if err := notShort(err); err != nil {
		return false, err
	}
	const magic = "SQLite format 3\x00"
	if n > 0 && !strings.HasPrefix(string(header), magic) && !used {
		return false, errors.New("file is not a database")
	}
	return used || binary.BigEndian.Uint32(header[68:]) == applicationID, nil
}

// checkPresent warns if the database was there once and is missing. A WAL that is
// left of it is quarantined: SQLite would delete it.
func (f *files) checkPresent() error {
	st, err := os.Lstat(f.path)
	if err == nil && st.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wal, err := f.walSize()
	if err != nil {
		return err
	}
	if wal > 0 {
		return f.quarantine(errors.New("write-ahead log without its database"))
	}
	if f.used {
		f.log.Warn("the store is missing or an empty file, though there was one; it is made anew", "store", f.path)
	}
	return nil
}
