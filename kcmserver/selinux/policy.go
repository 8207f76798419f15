package selinux

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/opencontainers/selinux/go-selinux"
)

// A Permission is what somebody wants to do with a cache. The names are those
// of the class kcm in our policy module.
type Permission string

// What may be done with a cache.
const (
	Use    Permission = "use"    // know that it is there, with its name and principal
	Read   Permission = "read"   // read credentials
	Write  Permission = "write"  // store and remove credentials
	Manage Permission = "manage" // fill anew and destroy
)

// A Policy decides what is allowed. Its methods may be called by several
// goroutines at once.
type Policy struct {
	class *class // nil: the kernel's policy has no class kcm
	log   *slog.Logger
}

// Load returns the policy of this machine, or nil if SELinux is not enabled.
// With our policy module loaded the kernel's policy decides; without it the
// levels alone (see Allowed).
func Load(log *slog.Logger) *Policy {
	if !selinux.GetEnabled() {
		return nil
	}
	p := &Policy{log: log}
	var err error
	if p.class, err = loadClass(); err != nil {
		log.Info("SELinux policy has no class kcm, caches are kept apart by their levels alone", "err", err)
	} else {
		log.Info("SELinux policy has the class kcm and decides who may use which cache")
	}
	return p
}

// Levels returns a policy that asks no kernel: levels alone decide.
func Levels(log *slog.Logger) *Policy { return &Policy{log: log} }

// PeerLabel returns the label of the process at the other end of conn, as of
// when it connected.
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

// Allowed reports whether a peer with that label may do that with a cache whose
// maker had that label.
//
// Where the kernel's policy has the class kcm it decides. Elsewhere a peer may
// do everything if the level of the cache lies within the range of the peer,
// and nothing otherwise. What cannot be decided is not allowed.
func (p *Policy) Allowed(peer, cache string, perm Permission) bool {
	var ok bool
	var err error
	if p.class != nil {
		ok, err = p.class.allowed(peer, cache, perm)
	} else {
		ok, err = inRange(peer, cache)
	}
	if err != nil {
		p.log.Warn("SELinux access cannot be decided, denied", "peer", peer, "cache", cache, "err", err)
		return false
	}
	return ok
}
