package cckeyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A key is the serial number of a key or a keyring, or one of the special numbers that
// the kernel takes for it.
type key int

// Special numbers (keyctl(2)).
const (
	threadKeyring      key = unix.KEY_SPEC_THREAD_KEYRING
	processKeyring     key = unix.KEY_SPEC_PROCESS_KEYRING
	sessionKeyring     key = unix.KEY_SPEC_SESSION_KEYRING
	userKeyring        key = unix.KEY_SPEC_USER_KEYRING
	userSessionKeyring key = unix.KEY_SPEC_USER_SESSION_KEYRING
)

// Types of keys.
const (
	typeKeyring = "keyring"
	typeUser    = "user"
	typeBig     = "big_key"
)

// MaxPayload is the largest payload of a key: that of a big_key.
const MaxPayload = 1 << 20

// maxKeyring bounds the keys of a keyring that are read.
const maxKeyring = 100000

// search finds a key in a keyring and those below it, and links it to the keyring dest
// if that is not 0.
func search(ring key, typ, description string, dest key) (key, error) {
	k, err := unix.KeyctlSearch(int(ring), typ, description, int(dest))
	return key(k), err
}

func add(typ, description string, payload []byte, ring key) (key, error) {
	k, err := unix.AddKey(typ, description, payload, int(ring))
	return key(k), err
}

func link(k, ring key) error {
	_, err := unix.KeyctlInt(unix.KEYCTL_LINK, int(k), int(ring), 0, 0)
	return err
}

func unlink(k, ring key) error {
	_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, int(k), int(ring), 0, 0)
	return err
}

func setTimeout(k key, seconds int64) error {
	_, err := unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, int(k), int(seconds), 0, 0)
	return err
}

// getPersistent returns the persistent keyring of a user, and links it to the keyring
// dest.
func getPersistent(uid int, dest key) (key, error) {
	k, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, uid, int(dest), 0, 0)
	return key(k), err
}

// sessionAnchor returns the session keyring. A process without one has that of its user,
// to which the kernel does not write by the number of the session keyring.
func sessionAnchor() key {
	session, err1 := unix.KeyctlGetKeyringID(int(sessionKeyring), false)
	user, err2 := unix.KeyctlGetKeyringID(int(userSessionKeyring), false)
	if err1 == nil && err2 == nil && session == user {
		return userSessionKeyring
	}
	return sessionKeyring
}

// read returns the payload of a key of at most limit bytes.
func read(k key, limit int) ([]byte, error) {
	buf := make([]byte, min(limit, 4096))
	for {
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, int(k), buf, 0)
		switch {
		case err != nil:
			return nil, err
		case n <= len(buf):
			return buf[:n], nil
		case n > limit:
			return nil, fmt.Errorf("a key has %d bytes; allowed: %d", n, limit)
		}
		clear(buf)
		buf = make([]byte, n)
	}
}

// members returns the keys of a keyring.
func members(ring key) ([]key, error) {
	b, err := read(ring, maxKeyring*4)
	if err != nil {
		return nil, err
	}
	var list []key
	for ; len(b) >= 4; b = b[4:] {
		list = append(list, key(int32(binary.NativeEndian.Uint32(b))))
	}
	return list, nil
}

// A description is what the kernel tells of a key.
type description struct {
	typ  string
	uid  uint32 // owner
	name string
}

func describe(k key) (description, error) {
	buf := make([]byte, 256) // of most: one call
	n, err := unix.KeyctlBuffer(unix.KEYCTL_DESCRIBE, int(k), buf, 0)
	if err == nil && n > len(buf) {
		buf = make([]byte, n)
		n, err = unix.KeyctlBuffer(unix.KEYCTL_DESCRIBE, int(k), buf, 0)
	}
	if err != nil {
		return description{}, err
	}
	s := strings.TrimSuffix(string(buf[:min(n, len(buf))]), "\x00")
	fields := strings.SplitN(s, ";", 5) // type;uid;gid;permissions;description
	if len(fields) < 5 {
		return description{}, fmt.Errorf("the kernel describes a key as %q", s)
	}
	uid, err := strconv.ParseUint(fields[1], 10, 32)
	return description{fields[0], uint32(uid), fields[4]}, err
}

// isAbsent reports whether an error says that a key is not there, or not in a keyring.
func isAbsent(err error) bool { return isGone(err) || errors.Is(err, unix.ENOENT) }

// isGone reports whether an error says that a key has gone: it was removed, has expired
// or cannot be reached, as libkrb5 skips it.
func isGone(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOKEY, unix.EKEYEXPIRED, unix.EKEYREVOKED, unix.EACCES} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
