package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DialAs connects to a socket as another user, for which it must be root. When the
// queue of the socket is full it waits up to patience, as libkrb5 does; net.Dial
// would return an error.
func DialAs(uid int, socket string, patience time.Duration) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), socket)
	defer file.Close()
	limit := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return nil, err
	}
	if err := connectAs(uid, fd, socket); err != nil {
		return nil, fmt.Errorf("cannot connect as %d: %w", uid, err)
	}
	return net.FileConn(file)
}

// connectAs changes the user of one thread during connect(2), at which the kernel
// records the peer's identity.
func connectAs(uid, fd int, socket string) error {
	address := &unix.SockaddrUnix{Name: socket}
	self := os.Geteuid()
	if uid == self {
		return connectThrough(fd, address)
	}
	// A thread that cannot be changed back is not used again.
	runtime.LockOSThread()
	if err := becomeUser(uid); err != nil {
		return err
	}
	err := connectThrough(fd, address)
	if err := becomeUser(self); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return err
}

// connectThrough connects, also when signals interrupt it.
func connectThrough(fd int, address *unix.SockaddrUnix) error {
	for {
		if err := unix.Connect(fd, address); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// becomeUser changes the effective uid of the thread.
func becomeUser(uid int) error {
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return fmt.Errorf("cannot become user %d: %w", uid, errno)
	}
	return nil
}
