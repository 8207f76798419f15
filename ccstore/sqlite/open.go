package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Synchronous says what a commit waits for.
type Synchronous string

// What a commit waits for.
const (
	Full   Synchronous = "full"   // the disk: survives a power cut
	Normal Synchronous = "normal" // the kernel: survives the end of the daemon; a power cut may lose the last commits
)

// Options are what Open may be told. The zero value is fine.
type Options struct {
	Synchronous Synchronous  // default Full
	Key         []byte       // seals the credentials, KeySize bytes; default: none, they are stored as they are
	Logger      *slog.Logger // default: none

	rekey *rekeying // for Rekey
}

// Open opens the database at path, makes it if it is not there, and brings it
// to the current version. The file and its directory must be the caller's own
// and closed to others, and nobody else may be able to replace a directory above
// them. A database of another program, of a newer version, or that another
// process has open is refused and left as it is, and so is one that is sealed
// with another key than o.Key. One that is not sealed yet is sealed with that
// key. One that is damaged is quarantined, and an empty one takes its place; the
// log says so.
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if path, err = resolve(path); err != nil {
		return nil, err
	}
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// Who never used a file has no right to move it.
	used := exists(path + lockSuffix)
	ours, err := checkBeginning(path, used)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	b := &Backend{
		path: path, log: o.Logger, lock: lock,
		requests: make(chan *request), stopped: make(chan struct{}), stopChecking: func() {},
	}
	defer func() {
		if err != nil {
			b.closeFile()
			lock.Close()
			if !used {
				os.Remove(path + lockSuffix) // leave no trace beside what is not ours
			}
		}
	}()
	if err := b.checkGone(used); err != nil {
		return nil, err
	}
	w, err := b.start(ctx, o)
	// Who changes the key wants to keep what is there, and gets to see the error.
	if Damaged(err) && ours && o.rekey == nil {
		b.closeFile()
		if err = b.quarantineFile(err); err == nil {
			w, err = b.start(ctx, o)
		}
	}
	if err != nil {
		return nil, err
	}
	go b.writeLoop(w)
	return b, nil
}

// lockSuffix is that of the file which whoever uses the database has locked. It
// stays, and shows that the database is ours.
const lockSuffix = "-lock"

// start opens the connections to the database and brings it to the current
// version.
func (b *Backend) start(ctx context.Context, o Options) (*writer, error) {
	if err := createFile(b.path); err != nil {
		return nil, err
	}
	if err := b.examine(ctx, o.Key); err != nil {
		return nil, err
	}
	left, err := b.checkLeft()
	if err != nil {
		return nil, err
	}
	if b.write, err = openDB(b.path, "_txlock=immediate", pragmas(o.Synchronous), 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, b.write); err != nil {
		return nil, err
	}
	if err := b.unlock(ctx, o); err != nil {
		return nil, err
	}
	settle(ctx, b.write)
	reading := append(pragmas(o.Synchronous), "query_only(1)")
	if b.read, err = openDB(b.path, "_txlock=deferred", reading, readers); err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, b.write, b.key)
	if err != nil {
		return nil, err
	}
	if left {
		b.checkBeside()
	}
	return w, nil
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

// checkBeginning refuses a file that is no database at all, unless kcmd used it
// and it is damaged. It reports whether the file is or was ours.
func checkBeginning(path string, used bool) (ours bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return used, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	header := make([]byte, 72)
	n, err := io.ReadFull(f, header)
	if err := notShort(err); err != nil {
		return false, err
	}
	const magic = "SQLite format 3\x00"
	if n > 0 && !strings.HasPrefix(string(header), magic) && !used {
		return false, errors.New("file is not a database")
	}
	return used || binary.BigEndian.Uint32(header[68:]) == applicationID, nil
}

// checkGone says so if the database was there once and is not any longer. A WAL
// that is left of it is quarantined: SQLite would delete it.
func (b *Backend) checkGone(used bool) error {
	st, err := os.Lstat(b.path)
	if err == nil && st.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wal, err := walSize(b.path)
	if err != nil {
		return err
	}
	if wal > 0 {
		return b.quarantineFile(errors.New("write-ahead log without its database"))
	}
	if used {
		b.log.Warn("the store is missing or an empty file, though there was one; it is made anew", "store", b.path)
	}
	return nil
}

// examine refuses a database that is not for us or is sealed with another key,
// and finds out whether it is damaged. It changes nothing: not even the journal
// mode, nor does it fold a WAL into the file, as any other connection would.
func (b *Backend) examine(ctx context.Context, key []byte) error {
	db, err := openReadOnly(b.path)
	if err != nil {
		return err
	}
	defer db.Close()
	version, err := checkHeader(ctx, db)
	if err != nil || version == 0 {
		return err
	}
	if err := checkTables(ctx, db, version); err != nil {
		return err
	}
	if b.marked() {
		if err := checkIntegrity(ctx, db, ""); err != nil {
			return err
		}
		b.log.Info("the store was marked as damaged, but nothing is wrong with it", "store", b.path)
		if err := b.unmark(); err != nil {
			return err
		}
	}
	// Without it nothing can be found, and it is small.
	if err := checkIntegrity(ctx, db, "collections"); err != nil {
		return err
	}
	_, err = findKey(ctx, db, key)
	return err
}

// openReadOnly opens the database for reading, in a way that leaves no files
// beside it if there are none.
func openReadOnly(path string) (*sql.DB, error) {
	setting := "mode=ro"
	if !exists(path + "-wal") {
		// All is in one file, and nobody has it open.
		setting += "&immutable=1"
	}
	return openDB(path, setting, []string{busyTimeout, "trusted_schema(0)", "cell_size_check(1)"}, 1)
}

// checkLeft looks at the WAL that a killed daemon has left, if one was killed.
func (b *Backend) checkLeft() (left bool, err error) {
	size, err := walSize(b.path)
	if err != nil || size == 0 {
		return false, err
	}
	err = checkWAL(b.path)
	if errors.Is(err, errWALHeader) {
		// SQLite would write over it.
		to, e := quarantineFile(b.path, time.Now(), "-wal")
		if e != nil {
			return true, e
		}
		b.log.Error("the last changes to the store are lost", "store", b.path, "moved_to", to+"-wal", "err", err)
		return true, nil
	}
	if err != nil {
		b.log.Error("the last changes to the store are lost, by a power cut or by damage", "store", b.path, "err", err)
	}
	return true, nil
}
