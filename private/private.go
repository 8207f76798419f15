// Package private checks that other users can neither use a file nor replace it.
// Root can do both and is never another user.
//
// It imports userns, for owners without a uid in a user namespace.
//
// Files: private.go has all of it.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"kcmd.org/kcmd/userns"
)

// CheckFile returns an error unless f is a regular file that belongs to one of the
// uids and gives none of the permissions in others.
func CheckFile(f *os.File, others fs.FileMode, uids ...int) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if perm := st.Mode().Perm(); perm&others != 0 {
		return fmt.Errorf("others may use it (mode %#o, allowed is 0600 or less)", perm)
	}
	return checkOwner("it", st, uids...)
}

// CheckDirectory returns an error for a directory in which other users could
// replace a file, and for one above which they could replace a directory. The path
// is absolute and has no symbolic links.
func CheckDirectory(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if perm := st.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("others may write to directory %s (mode %#o, allowed is 0700 to 0755)", dir, perm)
	}
	if err := checkOwner("directory "+dir, st, 0, os.Geteuid()); err != nil {
		return err
	}
	for dir != "/" {
		dir = filepath.Dir(dir)
		if err := checkParent(dir); err != nil {
			return err
		}
	}
	return nil
}

// checkParent refuses a directory in which other users could rename ours.
func checkParent(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSticky == 0 && othersWrite(st) {
		return fmt.Errorf("others may write to directory %s above it (mode %#o without the sticky bit, allowed is 0700 to 0755)", dir, st.Mode().Perm())
	}
	// In a user namespace, the owner of an upper directory may have no uid.
	return checkOwner("directory "+dir+" above it", st, 0, os.Geteuid(), int(userns.OverflowUID()))
}

// othersWrite reports whether other users may write to a directory. Root's group
// counts as root alone, and the group with the number of our uid as ours alone:
// many systems give each user such a group.
func othersWrite(st fs.FileInfo) bool {
	perm := st.Mode().Perm()
	gid := int(st.Sys().(*syscall.Stat_t).Gid)
	own := gid == 0 || gid == os.Geteuid()
	return perm&0o002 != 0 || perm&0o020 != 0 && !own
}

// checkOwner refuses a file that belongs to none of the uids.
func checkOwner(what string, st fs.FileInfo, uids ...int) error {
	uid := int(st.Sys().(*syscall.Stat_t).Uid)
	if slices.Contains(uids, uid) {
		return nil
	}
	slices.Sort(uids)
	allowed := strings.Trim(fmt.Sprint(slices.Compact(uids)), "[]")
	return fmt.Errorf("%s belongs to uid %d; allowed: %s", what, uid, strings.ReplaceAll(allowed, " ", ", "))
}
