package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/userns"
)

// MaxPath is the longest path of a database in bytes, without symbolic links:
// what SQLite can open, with room for what is added to the names of its files.
const MaxPath = 480

// resolve returns the absolute path of a file, without symbolic links in its
// directories: nobody changes where it leads to once they were checked.
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
		return "", fmt.Errorf("its path has %d bytes, allowed are %d", len(path), MaxPath)
	}
	return path, nil
}

// checkDirectory refuses a directory in which others could put another file in
// the place of ours, and one above which they could put another directory in
// the place of ours.
func checkDirectory(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if perm := st.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("others may write to directory %s (mode %#o, allowed is 0700 to 0755)", dir, perm)
	}
	if err := checkOwner("directory "+dir, st, uint32(os.Geteuid()), 0); err != nil {
		return err
	}
	for dir != "/" {
		dir = filepath.Dir(dir)
		if err := checkParent(dir); err != nil {
			return err
		}
	}
	return nil
}

// checkParent refuses a directory in which others could rename ours.
func checkParent(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSticky == 0 && othersWrite(st) {
		return fmt.Errorf("others may write to directory %s above it (mode %#o without the sticky bit, allowed are 0700 to 0755)", dir, st.Mode().Perm())
	}
	// What is above us in a user namespace may belong to somebody who has no
	// uid in it.
	return checkOwner("directory "+dir+" above it", st, uint32(os.Geteuid()), 0, userns.OverflowUID())
}

// othersWrite reports whether others than root and we may write to a directory.
// A group of root's is taken for root alone, and one with the number of our uid
// for ours alone, as many systems give one to each user.
func othersWrite(st fs.FileInfo) bool {
	perm := st.Mode().Perm()
	gid := st.Sys().(*syscall.Stat_t).Gid
	private := gid == 0 || gid == uint32(os.Geteuid())
	return perm&0o002 != 0 || perm&0o020 != 0 && !private
}

// checkOwner refuses what belongs to none of the allowed uids.
func checkOwner(what string, st fs.FileInfo, allowed ...uint32) error {
	uid := st.Sys().(*syscall.Stat_t).Uid
	if !slices.Contains(allowed, uid) {
		return fmt.Errorf("%s belongs to uid %d, this process runs as %d", what, uid, os.Geteuid())
	}
	return nil
}

// createFile opens the file, creates it if it is missing, and refuses one that is
// not ours alone.
func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := checkFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkFile(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("others may use it (mode %#o, allowed is 0600)", perm)
	}
	return checkOwner("it", st, uint32(os.Geteuid()))
}

// lockFile takes the lock that a process holds while it uses the store. It is a
// file of its own, so that a damaged database can be replaced under it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// tryLock locks a file, unless another process has locked it.
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process uses it")
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}
