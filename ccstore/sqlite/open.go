package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"modernc.org/sqlite" // registers the driver "sqlite"
	codes "modernc.org/sqlite/lib"
)

// Synchronous says what a commit waits for.
type Synchronous string

// What a commit waits for.
const (
	Full   Synchronous = "full"   // the disk: survives a power cut
	Normal Synchronous = "normal" // the kernel: survives the end of the daemon; a power cut may lose the last commits
)

// Options are what Open may be told.
type Options struct {
	Synchronous Synchronous  // default Full
	Key         []byte       // seals the credentials, KeySize bytes; default: none, they are stored as they are
	Logger      *slog.Logger // default: none

	rekey *rekeying // for Rekey
}

// Open opens the database at path, makes it if it is not there, and brings it
// to the current version. The file and its directory must be the caller's own
// and closed to others. A database of another program, of a newer version, or
// that another process has open is refused and left as it is, and so is one
// that is sealed with another key than o.Key. One that is not sealed yet is
// sealed with that key.
func Open(ctx context.Context, path string, o Options) (*Backend, error) {
	b, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	return b, nil
}

func open(ctx context.Context, path string, o Options) (_ *Backend, err error) {
	if o.Synchronous == "" {
		o.Synchronous = Full
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + "-lock")
	if err != nil {
		return nil, err
	}
	b := &Backend{path: path, lock: lock, log: o.Logger, requests: make(chan *request), stopped: make(chan struct{})}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			b.closeFiles()
		}
	}()
	if err := createFile(path); err != nil {
		return nil, err
	}
	version, err := probe(ctx, path, "ro", o.Key)
	if isUnfinished(err) {
		version, err = probe(ctx, path, "rw", o.Key)
	}
	if err != nil {
		return nil, err
	}
	if b.write, err = openDB(path, "_txlock=immediate", pragmas(o.Synchronous), 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, b.write, version); err != nil {
		return nil, err
	}
	if err := b.unlock(ctx, o); err != nil {
		return nil, err
	}
	settle(ctx, b.write)
	reading := append(pragmas(o.Synchronous), "query_only(1)")
	if b.read, err = openDB(path, "_txlock=deferred", reading, readers); err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, b.write, b.key)
	if err != nil {
		return nil, err
	}
	go b.writeLoop(w)
	return b, nil
}

// settle makes durable what is about to be shown. The end of a WAL that a killed
// process has left can be read, but need not be on the disk yet: a client would
// see it, and then not any more after a power cut. On a disk that is full that
// has to wait, and what is stored is served all the same.
func settle(ctx context.Context, db *sql.DB) {
	_, _ = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
}

// readers bounds the collections that are loaded at the same time.
const readers = 4

// busyPatience is how long a connection waits for another one, in milliseconds.
const busyPatience = 5000

var busyTimeout = fmt.Sprintf("busy_timeout(%d)", busyPatience)

// pragmas returns the settings of each connection that uses the database.
func pragmas(sync Synchronous) []string {
	return []string{
		busyTimeout,
		"journal_mode(WAL)", // readers and the writer do not wait for each other
		"synchronous(" + string(sync) + ")",
		"foreign_keys(1)",
		"secure_delete(1)",            // what was destroyed is overwritten
		"trusted_schema(0)",           // nothing in the file is code
		"cell_size_check(1)",          // damage is found where it is, not later
		"temp_store(2)",               // in memory: no secrets in temporary files
		"journal_size_limit(8388608)", // bytes of the WAL that are kept between bursts
	}
}

func openDB(path, setting string, pragmas []string, conns int) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas}
	uri := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + setting + "&" + query.Encode()
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// probe returns the version of the database, 0 if it is empty, and refuses one
// that is not for us or is sealed with another key. With mode "ro" it changes
// nothing: not even the journal mode, nor does it fold a WAL into the file, as
// any other connection would.
func probe(ctx context.Context, path, mode string, key []byte) (version int, err error) {
	db, err := openDB(path, "mode="+mode, []string{busyTimeout, "trusted_schema(0)"}, 1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if version, err = checkHeader(ctx, db); err != nil || version < keysVersion {
		return version, err
	}
	_, err = findKey(ctx, db, key)
	return version, err
}

// isUnfinished reports whether err says that the database has a journal beside
// it, from a transaction that did not come to its end: nobody can read it before
// that is rolled back, as mode "rw" does. Ours has one for a moment while it is
// made, when there is no WAL yet.
func isUnfinished(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == codes.SQLITE_READONLY_ROLLBACK
}

// checkDirectory refuses a directory in which others could put another file in
// the place of ours.
func checkDirectory(dir string) error {
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
	return checkOwner("directory "+dir, st, uint32(os.Geteuid()), 0)
}

// checkOwner refuses what belongs to none of the allowed uids.
func checkOwner(what string, st fs.FileInfo, allowed ...uint32) error {
	uid := st.Sys().(*syscall.Stat_t).Uid
	if !slices.Contains(allowed, uid) {
		return fmt.Errorf("%s belongs to uid %d, this process runs as %d", what, uid, os.Geteuid())
	}
	return nil
}

// createFile makes the file if it is not there, and refuses one that is not
// ours alone.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("others may use it (mode %#o, allowed is 0600)", perm)
	}
	return checkOwner("it", st, uint32(os.Geteuid()))
}

// lockFile takes the lock that a process holds while it uses the store. It is a
// file of its own: closing a second descriptor of the database itself would
// drop SQLite's locks on it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another process uses it")
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
