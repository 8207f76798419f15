// Package userns knows what user namespaces do to user IDs: see
// user_namespaces(7).
//
// It is a leaf: it imports nothing of kcmd's.
//
// Files: userns.go has all of it.
package userns

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// usualOverflowUID is the kernel's default (DEFAULT_OVERFLOWUID).
const usualOverflowUID = 65534

// OverflowUID returns the uid that the kernel shows in place of every uid that
// is not mapped into our user namespace: kernel.overflowuid, as it was at the
// first call.
var OverflowUID = sync.OnceValue(func() uint32 {
	b, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return usualOverflowUID
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return usualOverflowUID
	}
	return uint32(uid)
})
