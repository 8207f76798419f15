package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
)

// A socket is a listening socket for clients.
type socket struct {
	net.Listener
	namespace string
	file      fs.FileInfo // of a socket that we made; nil for systemd's, and after remove
}

// listen makes the configured sockets.
func listen(configured []socketConfig) ([]*socket, error) {
	var sockets []*socket
	for _, c := range configured {
		own, err := makeSocket(c)
		if err != nil {
			removeSockets(sockets)
			return nil, err
		}
		sockets = append(sockets, own)
	}
	return sockets, nil
}

// path returns the path of the socket.
func (s *socket) path() string { return s.Addr().String() }

// remove removes the file of a socket that we made, unless another file has replaced
// it. It must be called while we listen: no daemon replaces a socket that answers.
func (s *socket) remove() {
	if s.file == nil {
		return
	}
	if now, err := os.Lstat(s.path()); err == nil && os.SameFile(s.file, now) {
		os.Remove(s.path())
	}
	// Not twice: the next file at this path may get the same inode number.
	s.file = nil
}

// fromSystemd returns the sockets that systemd passed.
func fromSystemd() ([]*socket, error) { return activated(activation.Files(true)) }

// activated returns the sockets that systemd passed as files. Unlike
// activation.Listeners, it fails for files that do not listen.
func activated(files []*os.File) ([]*socket, error) {
	var sockets []*socket
	for _, f := range files {
		name := f.Name()
		err := checkListener(f)
		var l net.Listener
		if err == nil {
			l, err = net.FileListener(f)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot use the socket %q from systemd: %w", name, err)
		}
		sockets = append(sockets, &socket{Listener: l, namespace: namespace(name)})
	}
	return sockets, nil
}

// checkListener returns an error unless f is a listening UNIX stream socket.
func checkListener(f *os.File) error {
	fd := int(f.Fd())
	for _, o := range []struct{ option, value int }{
		{unix.SO_DOMAIN, unix.AF_UNIX},
		{unix.SO_TYPE, unix.SOCK_STREAM},
		{unix.SO_ACCEPTCONN, 1},
	} {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o.option); err != nil || v != o.value {
			return errors.New("it is not a listening UNIX stream socket")
		}
	}
	return nil
}

// namespace returns the namespace of a socket from the FileDescriptorName= of its
// unit. Without that line the name is the unit's, and only the name of our own unit
// selects the default namespace: a unit for a container that lacks the line must not
// give access to the collections of the host.
func namespace(name string) string {
	switch name {
	case "kcm", "kcmd.socket", "unknown":
		return ccstore.DefaultNamespace
	}
	// The name that go-systemd gives to sockets without LISTEN_FDNAMES.
	if strings.HasPrefix(name, "LISTEN_FD_") {
		return ccstore.DefaultNamespace
	}
	return name
}

// makeSocket makes a socket. It replaces the socket of a killed daemon, never that of
// a running daemon.
func makeSocket(c socketConfig) (*socket, error) {
	path := c.path
	fail := func(err error) (*socket, error) {
		hint := ""
		if path == systemSocket && os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
			hint = "; to serve one user, run kcmd --session, or give --socket and --store"
		}
		return nil, fmt.Errorf("cannot make the socket %s: %w%s", path, err, hint)
	}
	if err := makeDir(filepath.Dir(path), 0o755); err != nil {
		return fail(err)
	}
	// Without the lock, the slower of two daemons that find the same stale socket
	// would remove the new socket of the faster one.
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fail(err)
	}
	defer unlock()
	if err := clearPath(path); err != nil {
		return nil, err
	}
	l, err := bind(path, c.mode)
	if err != nil {
		return fail(err)
	}
	file, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return fail(err)
	}
	return &socket{Listener: l, namespace: c.namespace, file: file}, nil
}

// clearPath removes the socket of a killed daemon.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("cannot make the socket %s: there is a file that is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		defer c.Close()
		return inUse(path, listenerName(c.(*net.UnixConn)))
	case errors.Is(err, unix.EAGAIN):
		return inUse(path, "") // its queue is full
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	default:
		return fmt.Errorf("cannot check whether a daemon uses socket %s: %w", path, err)
	}
}

func inUse(path, server string) error {
	return fmt.Errorf("cannot listen: socket %s is in use by %s; stop it, or give another path with --socket", path, cmp.Or(server, "a running daemon"))
}

// bind listens on a new socket, which has the mode from the start. The kernel takes
// the mode from the umask of the process, which creates no other files yet.
func bind(path string, mode fs.FileMode) (*net.UnixListener, error) {
	defer unix.Umask(unix.Umask(0o777 &^ int(mode)))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// Closing does not remove the file, which may be another daemon's: see remove.
	l.SetUnlinkOnClose(false)
	return l, nil
}

// makeDir creates a missing directory with exactly this mode. Its parent must exist:
// a mistyped path does not create a tree.
func makeDir(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
