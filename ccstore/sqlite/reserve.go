package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
	codes "modernc.org/sqlite/lib"

	"kcmd.org/kcmd/ccstore"
)

// SQLite writes every change to the WAL first, so that on a full disk it cannot even
// delete. A file keeps disk space for that case. Only commits that delete get it.

const (
	reserveSuffix = "-reserve"
	reserveSize   = 1 << 20 // more than the deletion of a portion writes
)

// A reserve is a file that occupies disk space.
type reserve struct {
	path   string
	filled bool
}

// fill occupies the space, if the disk has it and its file system can allocate.
func (r *reserve) fill() {
	if r.filled {
		return
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	r.filled = unix.Fallocate(int(f.Fd()), 0, 0, reserveSize) == nil
	if !r.filled {
		_ = f.Truncate(0) // a part may be allocated
	}
}

// free frees the space, and reports whether there was any.
func (r *reserve) free() bool {
	freed := r.filled && os.Truncate(r.path, 0) == nil
	r.filled = r.filled && !freed
	return freed
}

// withReserve calls f, and again with the space of the reserve if the disk is full. It
// then empties the WAL at once: other commits must not use up the space.
func (w *writer) withReserve(f func() error) error {
	err := f()
	if primary(err) != codes.SQLITE_FULL || !w.reserve.free() {
		return err
	}
	err = f()
	_ = w.wipe(truncate) // the wiper tries it again
	w.reserve.fill()
	return err
}

// onlyDeletes reports whether a commit deletes, and stores nothing. A cache that is
// initialized would be empty afterwards, and its new tickets refused.
func onlyDeletes(c *ccstore.Commit) (deletes bool) {
	for _, op := range c.Ops {
		switch op.(type) {
		case ccstore.DeleteCache, ccstore.DeleteCredential:
			deletes = true
		case ccstore.SetDefault, ccstore.PutCache:
		default:
			return false
		}
	}
	return deletes
}
