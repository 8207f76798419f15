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

// A socket is where clients come in.
type socket struct {
	net.Listener
	namespace string
	file      fs.FileInfo // of a socket that is ours; nil of systemd's, and once it is removed
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

// remove removes the file of a socket that is ours, unless another stands in
// its place. It is called while we still listen: before that, nobody replaces
// a socket that answers, and after that, one that does not may be anybody's.
func (s *socket) remove() {
	if s.file == nil {
		return
	}
	if now, err := os.Lstat(s.path()); err == nil && os.SameFile(s.file, now) {
		os.Remove(s.path())
	}
	// Not twice: the next one at this path may get the same inode number.
	s.file = nil
}

// fromSystemd returns the sockets that systemd passed, if it did.
func fromSystemd() ([]*socket, error) { return activated(activation.Files(true)) }

// activated returns the sockets that systemd passed as files. It does not use
// activation.Listeners, which is silent on files that are no listeners.
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

// namespace returns the namespace of a socket by the name that its unit gives
// it with FileDescriptorName=. Of the names of sockets that were given none,
// only our own unit's means the default: a unit made for a container must not
// open the collections of the host because a line was forgotten.
func namespace(name string) string {
	switch name {
	case "kcm", "kcmd.socket", "unknown":
		return ccstore.DefaultNamespace
	}
	// What go-systemd calls those that were passed without any names.
	if strings.HasPrefix(name, "LISTEN_FD_") {
		return ccstore.DefaultNamespace
	}
	return name
}

// makeSocket makes a socket of our own. The socket of a live daemon is never
// taken, one that a killed daemon has left is replaced.
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
	// Of two daemons that find the same stale socket, the slower one would
	// otherwise remove what the faster one has just made.
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

// clearPath removes the socket of a daemon that is gone.
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
		// Its queue is full, so there is one.
		return inUse(path, "")
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	default:
		return fmt.Errorf("cannot tell whether a daemon uses the socket: %w", err)
	}
}

func inUse(path, server string) error {
	return fmt.Errorf("cannot listen: socket %s is in use by %s; stop that, or give another path with --socket", path, cmp.Or(server, "a running daemon"))
}

// bind listens on a new socket that has its mode from its first moment. The
// kernel makes it with the mode that the umask leaves; the umask is the
// process's, and nothing else makes files yet.
func bind(path string, mode fs.FileMode) (*net.UnixListener, error) {
	defer unix.Umask(unix.Umask(0o777 &^ int(mode)))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// By then it may be another one's: see remove.
	l.SetUnlinkOnClose(false)
	return l, nil
}

// makeDir makes a directory with exactly this mode, if there is none. The one
// above it must be there: a mistyped path makes no tree.
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
