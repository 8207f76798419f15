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
	path string // absolute; no directory in it is a symbolic link
	log  *slog.Logger
	used bool     // a kcmd used the path before
	ours bool     // the database is or was kcmd's
	lock *os.File // the lock of the path
	file *os.File // the database, locked against use by another path
}

// lockSuffix ends the name of the file whose lock protects the path. The file stays,
// and shows that the database is kcmd's.
const lockSuffix = "-lock"

// MaxPath is the longest path of a database in bytes after symbolic links are
// resolved: SQLite's limit, less the suffixes of its files.
const MaxPath = 480

// claim locks the database at path against other processes. It refuses a path that
// other users could change, and a file that is not kcmd's.
func claim(path string, log *slog.Logger) (*files, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := private.CheckDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f := &files{path: path, log: log, used: exists(path + lockSuffix)}
	if f.ours, err = checkMagic(path, f.used, unix.O_NOFOLLOW); err != nil {
		return nil, err
	}
	if f.lock, err = flock.Open(path + lockSuffix); err != nil {
		return nil, err
	}
	return f, nil
}

// release ends the claim after a failure. It removes a lock file that it created,
// so that nothing is left beside a file that is not kcmd's.
func (f *files) release() {
	f.unlockDatabase()
	f.lock.Close()
	if !f.used {
		os.Remove(f.path + lockSuffix)
	}
}

// lockDatabase creates the database if it is missing, and locks it: another process
// may use it by a hard link. Closing the file would drop SQLite's own locks on it,
// so that it stays open until SQLite has closed it.
func (f *files) lockDatabase() (err error) {
	if f.file != nil {
		return nil
	}
	if f.file, err = createFile(f.path); err != nil {
		return err
	}
	if err = flock.Lock(f.file); err != nil {
		f.unlockDatabase()
	}
	return err
}

// unlockDatabase unlocks the database once SQLite has closed it.
func (f *files) unlockDatabase() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// checkMagic refuses a file that does not begin as an SQLite database, unless kcmd
// used it: then it is damaged. It opens the file with the additional flags, and
// reports whether the file is or was kcmd's.
func checkMagic(path string, used bool, flags int) (ours bool, err error) {
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

// checkPresent warns if the database existed once and is missing now. It quarantines
// a WAL without its database, which SQLite would delete.
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
		f.log.Warn("the store existed before and is now missing or empty; creating a new one", "store", f.path)
	}
	return nil
}

// resolve returns the absolute path of a file without symbolic links in its
// directories, so that it leads through the directories that are checked.
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

// createFile opens a file, creates it if it is missing, and refuses one that other
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
