package selinux

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/opencontainers/selinux/go-selinux"
)

// A Permission allows operations on a cache. Its text is its name in the class kcm
// of kcmd's policy module.
type Permission string

// The permissions on a cache.
const (
	Use    Permission = "use"    // find it, with its name and principal
	Read   Permission = "read"   // read credentials
	Write  Permission = "write"  // store and remove credentials
	Manage Permission = "manage" // initialize, replace, move and destroy it
)

// A Policy decides what peers may do with caches. Its methods are safe for
// concurrent use.
type Policy struct {
	class *class // nil: the kernel's policy has no class kcm
	log   *slog.Logger
}

// Load returns the policy of this machine, or nil if SELinux is not enabled.
// If kcmd's policy module is loaded, the kernel decides; otherwise only the levels
// do (see Allowed).
func Load(log *slog.Logger) *Policy {
	if !selinux.GetEnabled() {
		return nil
	}
	p := &Policy{log: log}
	var err error
	if p.class, err = loadClass(); err != nil {
		log.Info("the SELinux policy has no class kcm; only levels decide who may use which cache", "err", err)
	} else {
		log.Info("the SELinux policy has the class kcm and decides who may use which cache")
	}
	return p
}

// Levels returns a policy that decides by levels only, without the kernel.
func Levels(log *slog.Logger) *Policy { return &Policy{log: log} }

// PeerLabel returns the label that the process at the other end of conn had when it
// connected.
func (p *Policy) PeerLabel(conn *net.UnixConn) (string, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return "", fmt.Errorf("cannot get peer label: %w", err)
	}
	var label string
	var labelErr error
	if err := raw.Control(func(fd uintptr) { label, labelErr = selinux.PeerLabel(fd) }); err != nil {
		return "", fmt.Errorf("cannot get peer label: %w", err)
	}
	if labelErr != nil {
		return "", fmt.Errorf("cannot get peer label: %w", labelErr)
	}
	return label, nil
}

// Allowed reports whether a process labelled peer has a permission on a cache that
// a process labelled cache created.
//
// If the kernel's policy has the class kcm, the kernel decides. Otherwise a peer has
// all permissions if the level of the cache is within the range of the peer, and
// none if not. An error denies the permission.
func (p *Policy) Allowed(peer, cache string, perm Permission) bool {
	var ok bool
	var err error
	if p.class != nil {
		ok, err = p.class.allowed(peer, cache, perm)
	} else {
		ok, err = inRange(peer, cache)
	}
	if err != nil {
		p.log.Warn("cannot decide on SELinux access, denied", "peer", peer, "cache", cache, "err", err)
		return false
	}
	return ok
}
