package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Disk is a file system that can be full, read-only, or without power. It is
// mounted in a mount namespace of its own, for processes that are started by Through.
// The namespace ends with them and the lab, so that nothing stays mounted. Only root
// can make one.
type Disk struct {
	// Dir is its mount point, for processes started by Through.
	Dir string

	lab   *Lab
	image string   // of an ext4, "" if it is memory
	stays *process // keeps the namespace
}

// NewMemoryDisk makes a disk of memory that holds so many bytes.
func (l *Lab) NewMemoryDisk(bytes int) (*Disk, error) {
	d, err := l.newDisk()
	if err == nil {
		err = d.run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("mode=700,size=%d", bytes), "kcmd-lab", d.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a disk of memory: %w", err)
	}
	return d, nil
}

// NewImageDisk makes an ext4 on a loop device over a file of so many bytes.
// After an error of its own it is read-only.
func (l *Lab) NewImageDisk(bytes int64) (*Disk, error) {
	d, err := l.newDisk()
	if err == nil {
		d.image = l.Path("disk.img")
		err = d.format(bytes)
	}
	if err == nil {
		err = d.Mount()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a disk on a loop device: %w", err)
	}
	return d, nil
}

func (l *Lab) newDisk() (*Disk, error) {
	d := &Disk{Dir: l.Path("disk"), lab: l}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return nil, err
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--", "sleep", "infinity")
	if d.stays, err = l.background(cmd, l.Path("disk.log")); err != nil {
		return nil, err
	}
	// The namespace is complete once sleep runs in it.
	return d, d.stays.await(func() bool {
		theirs, err := os.Readlink(d.proc("ns/mnt"))
		name, _ := os.ReadFile(d.proc("comm"))
		return err == nil && theirs != ours && string(name) == "sleep\n"
	})
}

func (d *Disk) format(bytes int64) error {
	f, err := os.OpenFile(d.image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(bytes); err != nil {
		return err
	}
	return d.run("mkfs.ext4", "-q", "-F", d.image)
}

// Mount mounts an image that is not mounted. After a power cut the kernel replays the
// journal.
func (d *Disk) Mount() error {
	return d.run("mount", "-t", "ext4", "-o", "loop,errors=remount-ro", d.image, d.Dir)
}

// Remount makes a mounted disk read-only ("ro") or writable again ("rw"). The
// kernel refuses "ro" while a file is open for writing.
func (d *Disk) Remount(how string) error { return d.run("mount", "-o", "remount,"+how, d.Dir) }

// Unmount unmounts the disk, whose files must be closed.
func (d *Disk) Unmount() error { return d.run("umount", d.Dir) }

// Through returns the beginning of a command that sees the disk.
func (d *Disk) Through() []string {
	return []string{"nsenter", "--mount=" + d.proc("ns/mnt"), "--"}
}

// Path returns the path of a file on the disk for this program, which is outside the
// namespace.
func (d *Disk) Path(name ...string) string {
	return d.proc("root", d.Dir, filepath.Join(name...))
}

func (d *Disk) proc(name ...string) string {
	return filepath.Join(append([]string{"/proc", fmt.Sprint(d.stays.cmd.Process.Pid)}, name...)...)
}

func (d *Disk) run(words ...string) error {
	cmd := exec.Command(words[0], words[1:]...)
	if err := putBefore(cmd, d.Through()); err != nil {
		return err
	}
	_, err := Output(cmd)
	return err
}

// ext4Shutdown is EXT4_IOC_SHUTDOWN, and withoutFlush its
// EXT4_GOING_FLAGS_NOLOGFLUSH.
const (
	ext4Shutdown = 0x8004587d
	withoutFlush = 2
)

// CutPower has the effect of a loss of power: data that the kernel has not written is
// lost, and every use of a file fails. Only Unmount works after that.
func (d *Disk) CutPower() error {
	root, err := os.Open(d.Path())
	if err != nil {
		return fmt.Errorf("cannot cut the power: %w", err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), ext4Shutdown, withoutFlush); err != nil {
		return fmt.Errorf("cannot cut the power: %w", err)
	}
	return nil
}

// Fail has the image's file system find an error in itself, after which it is
// read-only until it is unmounted.
func (d *Disk) Fail() error {
	var st unix.Stat_t
	if err := unix.Stat(d.Path(), &st); err != nil {
		return fmt.Errorf("cannot make the disk fail: %w", err)
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err == nil {
		err = os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error"), []byte("kcmd-lab"), 0)
	}
	if err != nil {
		return fmt.Errorf("cannot make the disk fail: %w", err)
	}
	return nil
}

// NeedDisk returns an error if disks of memory or on loop devices cannot be made.
func NeedDisk() error {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return fmt.Errorf("no loop devices: %w", err)
	}
	return Missing("unshare", "nsenter", "mount", "umount", "mkfs.ext4")
}
