package ccfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
)

// ErrChanged is returned for a file that is not, or no longer, what was read.
var ErrChanged = errors.New("it has changed meanwhile")

// A File is a cache that was read from a file.
type File struct {
	*ccache.Contents
	Path    string
	Damaged error // why the end of the file is not in Contents, or nil
	stat    unix.Stat_t
}

// readAttempts bounds how often a file is read again that changes meanwhile.
const readAttempts = 3

// Open reads the file of a cache that belongs to the effective user. The error wraps
// that of the system, ErrChanged for a file that changes again and again, or
// ccache.ErrFormat.
func Open(path string) (*File, error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	return openAt(dir, path)
}

// openDir opens a directory as a place for names.
func openDir(path string) (int, error) {
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return dir, nil
}

// openAt reads the file with the last name of path in dir.
func openAt(dir int, path string) (*File, error) {
	var err error
	for range readAttempts {
		var f *File
		if f, err = readAt(dir, path); err == nil || !errors.Is(err, ErrChanged) {
			return f, err
		}
	}
	return nil, err
}

func readAt(dir int, path string) (*File, error) {
	// O_NONBLOCK: a fifo has nobody to wait for.
	fd, err := unix.Openat(dir, filepath.Base(path), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	f := &File{Path: path}
	if err := f.check(fd); err != nil {
		return nil, err
	}
	// libkrb5 appends under an exclusive lock. A program that holds one for ever must
	// not hold up this one, which sees at the end what has changed.
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	_ = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock)
	b := make([]byte, f.stat.Size)
	ccache.WipeWhenUnused(b)
	if _, err := io.ReadFull(file, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = ErrChanged
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !f.is(dir) {
		return nil, fmt.Errorf("%s: %w", path, ErrChanged)
	}
	if f.Contents, err = Parse(b); errors.Is(err, ErrDamaged) {
		f.Damaged, err = err, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// check fails for what is not a file of the effective user alone.
func (f *File) check(fd int) error {
	if err := unix.Fstat(fd, &f.stat); err != nil {
		return &fs.PathError{Op: "stat", Path: f.Path, Err: err}
	}
	euid := uint32(os.Geteuid())
	switch {
	case f.stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s is not a regular file", f.Path)
	case f.stat.Uid != euid:
		return fmt.Errorf("%s belongs to uid %d, not to uid %d", f.Path, f.stat.Uid, euid)
	case f.stat.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %#o); allowed: 0600", f.Path, f.stat.Mode&0o777)
	case f.stat.Nlink != 1:
		return fmt.Errorf("%s has %d hard links; allowed: 1", f.Path, f.stat.Nlink)
	case f.stat.Size > MaxSize:
		return fmt.Errorf("%s has %d bytes; allowed: up to %d", f.Path, f.stat.Size, MaxSize)
	}
	return nil
}

// is reports whether the name in dir is still the file that was read, unchanged.
func (f *File) is(dir int) bool {
	var now unix.Stat_t
	err := unix.Fstatat(dir, filepath.Base(f.Path), &now, unix.AT_SYMLINK_NOFOLLOW)
	was := f.stat
	return err == nil && now.Dev == was.Dev && now.Ino == was.Ino && now.Size == was.Size && now.Nlink == was.Nlink &&
		now.Mtim == was.Mtim && now.Ctim == was.Ctim
}

// Remove removes the file and overwrites its bytes, unless it has changed since it was
// read: then it fails with ErrChanged.
func (f *File) Remove() error {
	dir, err := openDir(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := filepath.Base(f.Path)
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: f.Path, Err: err}
	}
	file := os.NewFile(uintptr(fd), f.Path)
	defer file.Close()
	var opened unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil || opened.Dev != f.stat.Dev || opened.Ino != f.stat.Ino || !f.is(dir) {
		return fmt.Errorf("%s: %w", f.Path, ErrChanged)
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: f.Path, Err: err}
	}
	// As libkrb5 does. The file is gone in any case.
	if _, err := file.WriteAt(make([]byte, f.stat.Size), 0); err == nil {
		_ = file.Sync()
	}
	return nil
}
