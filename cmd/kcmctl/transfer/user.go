package transfer

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// As calls f in a thread of its own, whose effective user is uid, with that user's group
// alone: its files, its keys and its connections are those of the user, and root's powers
// do not follow a link that the user has made. f must start no goroutine for them.
//
// It fails if the process may not become that user.
func As(uid uint32, f func() error) error {
	result := make(chan error)
	go func() {
		// The thread is not unlocked, and so ends with the goroutine.
		runtime.LockOSThread()
		if uid != uint32(os.Geteuid()) {
			if err := become(uid); err != nil {
				result <- fmt.Errorf("cannot act as uid %d: %w; run it as root", uid, err)
				return
			}
		}
		result <- f()
	}()
	return <-result
}

// become changes the calling thread. The functions of the library change all.
func become(uid uint32) error {
	gid := uint64(65534) // nogroup, for a uid without an account
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		if gid, err = strconv.ParseUint(u.Gid, 10, 32); err != nil {
			return err
		}
	}
	const unchanged = ^uintptr(0) // -1
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, unchanged, uintptr(gid), unchanged); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 {
		return errno
	}
	return nil
}
