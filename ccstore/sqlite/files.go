package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/flock"
	"kcmd.org/kcmd/private"
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

// MaxPath is the longest path of a database in bytes, without symbolic links:
// what SQLite can open, with room for what is added to the names of its files.
const MaxPath = 480

// claim has no other process use the database at path, and no other user change
// it. A file that is none of kcmd's is refused.
func claim(path string, log *slog.Logger) (*files, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := private.CheckDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f := &files{path: path, log: log, used: exists(path + lockSuffix)}
	if f.ours, err = checkBeginning(path, f.used, unix.O_NOFOLLOW); err != nil {
		return nil, err
	}
	if f.lock, err = flock.Open(path + lockSuffix); err != nil {
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
	if err = flock.Lock(f.file); err != nil {
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

// checkBeginning refuses a file that is not a database, unless kcmd used it and it
// is damaged. It opens the file with the additional flags, and reports whether the
// file is or was ours.
func checkBeginning(path string, used bool, flags int) (ours bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flags, 0)
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

// resolve returns the absolute path of a file, without symbolic links in its
// directories: after the check of these, nobody can change where it leads.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(path))
	if len(path) > MaxPath {
		return "", fmt.Errorf("its path has %d bytes; allowed: %d", len(path), MaxPath)
	}
	return path, nil
}

// createFile opens the file, created if it is missing, and refuses one that other
// users may use.
func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := private.CheckFile(f, 0o077, os.Geteuid()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
