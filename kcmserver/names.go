package kcmserver

import (
	"fmt"
	"strconv"
	"strings"

	"kcmd.org/kcmd/ccstore"
)

// maxNameLen bounds a cache name, in bytes. It is ours: as much as a file name
// may have.
const maxNameLen = 255

// checkName refuses names that no cache may have. Names are bytes, compared as
// they are; ':' and '/' may stand anywhere.
func checkName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("%w: %d bytes long, allowed are 1 to %d", errBadName, len(name), maxNameLen)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		return fmt.Errorf("%w: control character at byte %d", errBadName, i)
	}
	return nil
}

// uidOf returns the uid that name belongs to: "1000" and "1000:..." are of 1000.
// Only the decimal form without leading zeros is a uid.
func uidOf(name string) (uid uint32, ok bool) {
	digits, _, _ := strings.Cut(name, ":")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	return uint32(n), true
}

// ownerOf returns the collection in which the peer finds the cache of that name.
// A user has the names that begin with the own uid. Root has all names: those
// that begin with a uid are in that uid's collection, others in root's. With
// SELinux it is the collection of the peer's own level.
func ownerOf(peer Peer, name string) (ccstore.Owner, error) {
	if err := checkName(name); err != nil {
		return ccstore.Owner{}, err
	}
	uid, ok := uidOf(name)
	switch {
	case peer.UID == 0 && !ok:
		uid = 0
	case peer.UID == 0 || ok && uid == peer.UID:
	default:
		return ccstore.Owner{}, fmt.Errorf("%w: names of uid %d are %d and %d:...",
			errPermission, peer.UID, peer.UID, peer.UID)
	}
	return ccstore.Owner{Namespace: peer.Namespace, UID: uid, Level: peer.Level}, nil
}
