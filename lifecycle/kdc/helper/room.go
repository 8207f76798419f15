package helper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/flock"
)

// A room is a private directory. It is locked while it is in use, so that the next
// helper can tell and remove those that a killed helper has left.
type room struct {
	dir  string
	lock *os.File
}

const roomPrefix = "kcmd-kdc-"

// base returns the directory of the rooms, in memory if possible.
func base() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return os.TempDir()
}

// newRoom makes a room, and removes what killed helpers have left.
func newRoom() (*room, error) {
	removeLeft(base())
	for {
		dir, err := os.MkdirTemp(base(), roomPrefix) // of mode 0700
		if err != nil {
			return nil, fmt.Errorf("cannot make a private directory: %w", err)
		}
		r, err := enter(dir)
		if errors.Is(err, flock.ErrLocked) || errors.Is(err, os.ErrNotExist) {
			continue // another helper took it for a left one before it was locked
		}
		return r, err
	}
}

// enter locks a directory, which must be there afterwards.
func enter(dir string) (*room, error) {
	lock, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	err = flock.Lock(lock)
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &room{dir, lock}, nil
}

// remove overwrites the files in the room and removes it.
func (r *room) remove() {
	entries, _ := os.ReadDir(r.dir)
	for _, e := range entries {
		if e.Type().IsRegular() {
			wipe(r.path(e.Name()))
		}
	}
	os.RemoveAll(r.dir)
	r.lock.Close()
}

// wipe overwrites a file with zeros, as well as the file system lets us.
func wipe(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		_, _ = io.Copy(f, io.LimitReader(zeros{}, info.Size()))
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func (r *room) path(name string) string { return filepath.Join(r.dir, name) }

// removeLeft removes our rooms that no helper uses.
func removeLeft(base string) {
	left, _ := filepath.Glob(filepath.Join(base, roomPrefix+"*"))
	for _, dir := range left {
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue
		}
		if r, err := enter(dir); err == nil {
			r.remove()
		}
	}
}
