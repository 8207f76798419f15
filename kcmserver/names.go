package kcmserver

import (
	"fmt"
	"strconv"
	"strings"

	"kcmd.org/kcmd/ccstore"
)

// maxNameLen limits a cache name, in bytes. The protocol has no limit; this is the
// one of file names.
const maxNameLen = 255

// checkName fails if no cache may have that name. Names are compared byte by byte;
// ':' and '/' are allowed anywhere.
func checkName(name string) error {
	if name == "" || len(name) > maxNameLen {
		return fmt.Errorf("%w: %d bytes long, allowed are 1 to %d", errBadName, len(name), maxNameLen)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		return fmt.Errorf("%w: control character at byte %d", errBadName, i)
	}
	return nil
}

// uidOf returns the uid to which a name belongs: 1000 for "1000" and "1000:...". A
// uid is decimal, without leading zeros.
func uidOf(name string) (uid uint32, ok bool) {
	digits, _, _ := strings.Cut(name, ":")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	return uint32(n), true
}

// ownerOf returns the owner of the collection that holds the caches of a name, as
// the peer sees it. A user may use names that begin with the user's own uid. Root
// may use all names: one that begins with a uid is in the collection of that uid,
// any other in root's. With SELinux, each is in the collection of the peer's level.
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
		return ccstore.Owner{}, fmt.Errorf("%w: uid %d is allowed the names %d and %d:...",
			errPermission, peer.UID, peer.UID, peer.UID)
	}
	return ccstore.Owner{Namespace: peer.Namespace, UID: uid, Level: peer.Level}, nil
}
