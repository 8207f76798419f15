package kcmserver

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/userns"
)

// A Peer is the process at the other end of a connection, as the kernel knew it
// when the process connected.
type Peer struct {
	Namespace string // of the socket that it came through
	UID       uint32 // effective uid
	PID       int32  // 0 if our PID namespace does not have the process
	Label     string // SELinux label, "" without SELinux
	Level     string // low level of the label
}

var errUnmapped = errors.New("uid of the peer is not mapped into the user namespace of kcmd")

// peerOf asks the kernel who connected.
func (s *Server) peerOf(conn *net.UnixConn, namespace string) (Peer, error) {
	cred, err := credentials(conn)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot get peer credentials: %w", err)
	}
	peer, err := identify(cred, namespace)
	if err != nil || s.selinux == nil {
		return peer, err
	}
	if peer.Label, err = s.selinux.PeerLabel(conn); err != nil {
		return Peer{}, err
	}
	peer.Level, err = selinux.Level(peer.Label)
	return peer, err
}

func credentials(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, credErr)
}

// identify refuses a peer whose uid is not mapped into our user namespace: all
// such peers have the overflow uid, so that they cannot be told apart. A pid of 0
// is a process that our PID namespace does not have, as in another container; its
// uid is good.
func identify(cred *unix.Ucred, namespace string) (Peer, error) {
	if cred.Uid == userns.OverflowUID() {
		return Peer{}, fmt.Errorf("%w (overflow uid %d, pid %d)", errUnmapped, cred.Uid, cred.Pid)
	}
	return Peer{Namespace: namespace, UID: cred.Uid, PID: cred.Pid}, nil
}
