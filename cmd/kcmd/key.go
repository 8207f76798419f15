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

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/private"
)

// keyName is the form of a systemd credential's name.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`)

const keyAllowed = "the name of a systemd credential or the absolute path of a file"

// isKey reports whether s can name a key: a systemd credential, whose name has no
// slash, or a file.
func isKey(s string) bool {
	path, ok := absolute(s)
	return keyName.MatchString(s) || filepath.IsAbs(s) && ok && len(path) < unix.PathMax
}

// loadKey reads the named key, nil for "". The caller wipes it.
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
	// systemd gives the service access by an ACL, which shows as permissions of
	// the group.
	return readKeyFile(filepath.Join(dir, name), 0o007)
}

// readKeyFile reads a key from a file that gives none of the permissions in
// others.
func readKeyFile(path string, others fs.FileMode) ([]byte, error) {
	// O_NONBLOCK: opening a FIFO must not block.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := private.CheckFile(f, others, 0, os.Geteuid()); err != nil {
		return nil, err
	}
	// One byte more than the longest form, to detect longer files.
	const longest = 2*sqlite.KeySize + 1 // hexadecimal digits and a newline
	data := make([]byte, longest+1)
	defer clear(data)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return parseKey(data[:n])
}

// parseKey parses a key in one of its two forms. No error shows the data.
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
	return nil, fmt.Errorf("it is not a key; allowed: exactly %d bytes, or %d hexadecimal digits", len(key), 2*len(key))
}
