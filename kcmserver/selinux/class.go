package selinux

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"
)

// className is the object class that kcmd's policy module defines.
const className = "kcm"

const fsRoot = "/sys/fs/selinux"

// A class has the numbers of the class kcm and its permissions in the loaded policy.
type class struct {
	mu    sync.Mutex
	seqno uint64 // of the policy, which counts its loads; 0: not known yet
	index int
	bits  map[Permission]uint32
}

func loadClass() (*class, error) {
	index, err := selinux.ClassIndex(className)
	if err != nil {
		return nil, err
	}
	c := &class{index: index, bits: make(map[Permission]uint32)}
	for _, perm := range []Permission{Use, Read, Write, Manage} {
		b, err := os.ReadFile(fsRoot + "/class/" + className + "/perms/" + string(perm))
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || n < 1 || n > 32 {
			return nil, fmt.Errorf("permission %s has number %q", perm, b)
		}
		c.bits[perm] = 1 << (n - 1)
	}
	return c, nil
}

func (c *class) allowed(peer, cache string, perm Permission) (bool, error) {
	d, bit, err := c.decide(peer, cache, perm)
	if err != nil {
		return false, err
	}
	if d.allowed&bit != 0 {
		return true, nil
	}
	// The kernel answers by the policy, even if it does not enforce it.
	return d.permissive || selinux.EnforceMode() == selinux.Permissive, nil
}

// decide asks the kernel. It asks again if another policy was loaded since it read
// the numbers of the class, since that may have other numbers.
func (c *class) decide(peer, cache string, perm Permission) (decision, uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		d, err := query(peer, cache, c.index)
		if err != nil {
			return decision{}, 0, err
		}
		if c.seqno == d.seqno {
			return d, c.bits[perm], nil
		}
		fresh, err := loadClass()
		if err != nil {
			return decision{}, 0, err
		}
		c.seqno, c.index, c.bits = d.seqno, fresh.index, fresh.bits
	}
}

// A decision is the answer of the kernel.
type decision struct {
	allowed    uint32
	seqno      uint64 // of the policy
	permissive bool   // the domain of the peer is permissive
}

// query asks the kernel which permissions peer has on an object of a label and a
// class: it writes "scon tcon class" in one piece, and reads the answer from the
// same descriptor (security/selinux/selinuxfs.c, sel_write_access).
func query(peer, object string, index int) (decision, error) {
	fd, err := unix.Open(fsRoot+"/access", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return decision{}, err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, fmt.Appendf(nil, "%s %s %d", peer, object, index)); err != nil {
		return decision{}, err
	}
	var answer [256]byte
	n, err := unix.Read(fd, answer[:])
	if err != nil {
		return decision{}, err
	}
	return parseDecision(string(answer[:n]))
}

// parseDecision reads "allowed decided auditallow auditdeny seqno flags". All are
// hexadecimal except seqno, which is decimal.
func parseDecision(text string) (decision, error) {
	const permissiveDomain = 1
	var d decision
	var decided, auditAllow, auditDeny, flags uint32
	_, err := fmt.Sscanf(text, "%x %x %x %x %d %x", &d.allowed, &decided, &auditAllow, &auditDeny, &d.seqno, &flags)
	if err != nil {
		return decision{}, fmt.Errorf("malformed answer of the kernel: %q", text)
	}
	d.permissive = flags&permissiveDomain != 0
	return d, nil
}
