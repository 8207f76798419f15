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

// className is the class that our policy module brings.
const className = "kcm"

const fsRoot = "/sys/fs/selinux"

// A class is the class kcm as a loaded policy numbers it.
type class struct {
	mu    sync.Mutex
	seqno uint64 // of the policy, counts its loads; 0: not known yet
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
	// The kernel says what the policy is, not whether it is enforced.
	return d.permissive || selinux.EnforceMode() == selinux.Permissive, nil
}

// decide asks the kernel, and asks again if another policy was loaded since the
// class was read, which may give it other numbers.
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

// A decision is what the kernel answers.
type decision struct {
	allowed    uint32
	seqno      uint64 // of the policy
	permissive bool   // the domain is
}

// query asks the kernel what peer may do with an object of that label and
// class: "scon tcon class" in one write, the answer in one read of the same
// descriptor (security/selinux/selinuxfs.c, sel_write_access).
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

// parseDecision reads "allowed decided auditallow auditdeny seqno flags", the
// numbers in hexadecimal but for seqno.
func parseDecision(text string) (decision, error) {
	fields := strings.Fields(strings.TrimRight(text, "\x00"))
	if len(fields) < 6 {
		return decision{}, fmt.Errorf("kernel answered %q", text)
	}
	allowed, err := strconv.ParseUint(fields[0], 16, 32)
	if err != nil {
		return decision{}, fmt.Errorf("kernel answered %q", text)
	}
	seqno, err := strconv.ParseUint(fields[4], 10, 64)
	if err != nil {
		return decision{}, fmt.Errorf("kernel answered %q", text)
	}
	flags, err := strconv.ParseUint(fields[5], 16, 32)
	if err != nil {
		return decision{}, fmt.Errorf("kernel answered %q", text)
	}
	const permissiveDomain = 1
	return decision{allowed: uint32(allowed), seqno: seqno, permissive: flags&permissiveDomain != 0}, nil
}
