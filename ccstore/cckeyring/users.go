package cckeyring

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Users returns the uids that have keys, of any kind.
func Users() ([]uint32, error) {
	b, err := os.ReadFile("/proc/key-users")
	if err != nil {
		return nil, err
	}
	return parseUsers(b), nil
}

// parseUsers parses lines like " 1000:     5 4/4 4/200 54/20000" (keyrings(7)).
func parseUsers(b []byte) (uids []uint32) {
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		text, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if uid, err := strconv.ParseUint(text, 10, 32); err == nil {
			uids = append(uids, uint32(uid))
		}
	}
	return uids
}

// HasPersistent reports whether the effective user has a persistent keyring. Open would
// make one.
func HasPersistent() (bool, error) {
	b, err := os.ReadFile("/proc/keys")
	return hasPersistent(b, strconv.Itoa(os.Geteuid())), err
}

// hasPersistent looks for a line like
// "0009a14c I--Q---     1 3d 1f030000  1000 65534 keyring   _persistent.1000: 1".
func hasPersistent(b []byte, uid string) bool {
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) > 8 && f[5] == uid && f[7] == typeKeyring && f[8] == "_persistent."+uid+":" {
			return true
		}
	}
	return false
}
