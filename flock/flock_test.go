package flock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/flock"
)

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := flock.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := first.Stat(); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := flock.Open(path); !errors.Is(err, flock.ErrLocked) {
		t.Errorf("locked file: got %v", err)
	}
	other, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := flock.Lock(other); !errors.Is(err, flock.ErrLocked) {
		t.Errorf("locked open file: got %v", err)
	}
	first.Close()
	if err := flock.Lock(other); err != nil {
		t.Errorf("after its release: %v", err)
	}
}

func TestOpenRefusesLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("target", filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := flock.Open(filepath.Join(dir, "lock")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "target")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("target: %v", err)
	}
}
