package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// DefaultSocket is the path that libkrb5 has without kcm_socket.
const DefaultSocket = "/var/run/.heim_org.h5l.kcm-socket"

// LibrarySocket returns the path of the socket to which libkrb5 connects.
func (s *System) LibrarySocket() string {
	if r := s.readProfile().get("libdefaults/kcm_socket"); r != nil {
		return r.value
	}
	return DefaultSocket
}

// server is whether kcmd serves the socket that libkrb5 uses.
func (s *System) server(ctx context.Context, p *profile) Finding {
	path, why := DefaultSocket, "the default of libkrb5"
	if r := p.get("libdefaults/kcm_socket"); r != nil {
		path, why = r.value, "kcm_socket in "+r.place
	}
	named := path + " (" + why + ")"
	l, err := s.Listener(ctx, path)
	switch {
	case err != nil && s.Socket != "" && !samePlace(path, s.Socket):
		return s.elsewhere(p, "nothing answers at "+named)
	case err != nil:
		return finding("kcm_socket", Error, "nothing answers at "+named+": "+cause(err)).run(s.systemctl("enable --now kcmd.socket"))
	case s.Socket == "":
		return finding("kcm_socket", Note, fmt.Sprintf("%s serves %s", l, named))
	case samePlace(path, s.Socket), l.Name == "kcmd":
		return finding("kcm_socket", OK, "libkrb5 connects to kcmd, at "+named)
	}
	return s.elsewhere(p, fmt.Sprintf("not kcmd, but %s serves %s", l, named))
}

// elsewhere is the finding for a libkrb5 that connects to another path than kcmd's.
func (s *System) elsewhere(p *profile, text string) Finding {
	return finding("kcm_socket", Error, text).write(p.main(), "[libdefaults]", "    kcm_socket = "+s.Socket)
}

func (s *System) systemctl(words string) string {
	if s.Session {
		return "systemctl --user " + words
	}
	return "systemctl " + words
}

// cause returns the innermost error, without the path that the finding has.
func cause(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err.Error()
}

// samePlace reports whether two paths of sockets are one: /var/run is a link to /run.
func samePlace(a, b string) bool {
	return resolve(a) == resolve(b)
}

func resolve(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		dir = filepath.Dir(path)
		if rest, ok := strings.CutPrefix(dir, "/var/run"); ok {
			dir = "/run" + rest
		}
	}
	return filepath.Join(dir, filepath.Base(path))
}

// String names the process.
func (l Listener) String() string {
	if l.PID == 1 {
		return "systemd, for a socket unit (see systemctl list-sockets),"
	}
	return fmt.Sprintf("%s (pid %d)", l.Name, l.PID)
}

// Ask connects to a KCM server, has it answer, and returns the process that made the
// socket.
func Ask(ctx context.Context, path string) (Listener, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return Listener{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return Listener{}, err
		}
	}
	// Any answer will do: a code as well.
	if _, err := client.New(conn).GetDefaultCache(); err != nil && !errors.As(err, new(kcm.Code)) {
		return Listener{}, err
	}
	return listener(conn.(*net.UnixConn))
}

func listener(conn *net.UnixConn) (l Listener, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return l, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return l, e
	}
	if err != nil {
		return l, err
	}
	l = Listener{PID: cred.Pid, Name: "a process"}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cred.Pid)); err == nil {
		l.Name = strings.TrimSpace(string(comm))
	}
	return l, nil
}
