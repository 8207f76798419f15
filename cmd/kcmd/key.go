package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/sqlite"
)

// keyName is the form of a systemd credential's name.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`)

const keyAllowed = "the name of a systemd credential or the absolute path of a file"

// isKey tells whether s can say where a key is: as a systemd credential, whose
// name has no slash, or in a file.
func isKey(s string) bool {
	path, ok := absolute(s)
	return keyName.MatchString(s) || filepath.IsAbs(s) && ok && len(path) < unix.PathMax
}

// loadKey reads the key that name says the place of, nil if it is "". Whoever
// used it wipes it.
func loadKey(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	key, err := readKey(name)
	if err != nil {
		return nil, fmt.Errorf("cannot use the key %s: %w", name, err)
	}
	return key, nil
}

func readKey(name string) ([]byte, error) {
	if filepath.IsAbs(name) {
		return readKeyFile(name, 0o077)
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, errors.New("systemd has passed no credentials (CREDENTIALS_DIRECTORY is not set); see LoadCredentialEncrypted= in systemd.exec(5)")
	}
	// The access list by which systemd gives it to the service shows as the
	// mode of a group.
	return readKeyFile(filepath.Join(dir, name), 0o007)
}

// readKeyFile reads a key from a file that nobody but its owner and root may
// use.
func readKeyFile(path string, others fs.FileMode) ([]byte, error) {
	// A FIFO must not hold us up.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if perm := st.Mode().Perm(); perm&others != 0 {
		return nil, fmt.Errorf("others may use it (mode %#o, allowed is 0600 or less)", perm)
	}
	if uid := st.Sys().(*syscall.Stat_t).Uid; !slices.Contains([]int{0, os.Geteuid()}, int(uid)) {
		return nil, fmt.Errorf("it belongs to uid %d, allowed are 0 and %d, as which this process runs", uid, os.Geteuid())
	}
	// One byte more than the longest form, so that what is longer is seen.
	const most = 2*sqlite.KeySize + 1
	data := make([]byte, most+1)
	defer clear(data)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return parseKey(data[:n])
}

// parseKey reads a key in one of its two forms. No error shows any of it.
func parseKey(data []byte) ([]byte, error) {
	if len(data) == sqlite.KeySize {
		return bytes.Clone(data), nil
	}
	key := make([]byte, sqlite.KeySize)
	text := bytes.TrimSuffix(data, []byte("\n"))
	if len(text) == hex.EncodedLen(len(key)) {
		if _, err := hex.Decode(key, text); err == nil {
			return key, nil
		}
	}
	clear(key)
	return nil, fmt.Errorf("it is no key; allowed: exactly %d bytes, or %d hexadecimal digits", len(key), 2*len(key))
}
