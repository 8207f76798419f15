package lab

import (
	"fmt"
	"os/exec"
	"sync"
)

// The reasons why root cannot make namespaces everywhere: the kernel refuses user
// namespaces in a chroot, and the root of a chroot is no mount point. A container
// may lack the privilege. No package helps, so that these are reasons to skip a
// test even where Required is set.

// NoRoom returns an error if a Room without users of its own cannot be made here.
var NoRoom = sync.OnceValue(func() error { return tryRoom(Room{Socket: "/dev/null"}) })

// NoContainer returns an error if a Room with users of its own cannot be made here.
var NoContainer = sync.OnceValue(func() error { return tryRoom(Room{Socket: "/dev/null", FirstUID: 50000}) })

// NoDisk returns an error if a Disk cannot be made here for want of namespaces.
var NoDisk = sync.OnceValue(func() error {
	return try(exec.Command("unshare", "--mount", "--propagation", "private", "true"))
})

func tryRoom(r Room) error {
	cmd := exec.Command("true")
	if err := r.Enter(cmd); err != nil {
		return err
	}
	return try(cmd)
}

func try(cmd *exec.Cmd) error {
	if _, err := Output(cmd); err != nil {
		return fmt.Errorf("cannot make namespaces here: %w", err)
	}
	return nil
}
