package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// The life of a damaged file. What is found at the start, by a look at the
// header and at the table of collections, quarantines the file, and the daemon
// starts empty. What is found later fails the requests that meet it, while
// others go on; a mark beside the file has the next start look at all of it.

// errCorrupt is wrapped by what says that the file is not as SQLite wrote it,
// where SQLite itself did not notice.
var errCorrupt = errors.New("database is damaged")

// Damaged reports whether err says that a database is damaged, rather than that
// it cannot be used or is not ours.
func Damaged(err error) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		code := e.Code() & 0xff // the rest says where it was noticed
		return code == codes.SQLITE_CORRUPT || code == codes.SQLITE_NOTADB
	}
	return errors.Is(err, errCorrupt)
}

// notAsWritten is the error for a row with a value that its column never held.
func notAsWritten(err error) error { return fmt.Errorf("%w: %w", errCorrupt, err) }

// checkIntegrity has SQLite look at a table with its indexes, or at the whole
// file if table is "".
func checkIntegrity(ctx context.Context, db querier, table string) error {
	findings, err := integrity(ctx, db, table)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return fmt.Errorf("%w: %s", errCorrupt, findings[0])
	}
	return nil
}

// integrity returns what SQLite finds wrong, about 100 things at most and the one
// at which it gave up.
func integrity(ctx context.Context, db querier, table string) (findings []string, err error) {
	query := "PRAGMA integrity_check"
	if table != "" {
		query += "(" + table + ")"
	}
	rows, err := db.QueryContext(ctx, query)
	if Damaged(err) {
		return []string{err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		if s != "ok" {
			s = strings.TrimPrefix(s, "*** in database main ***\n")
			findings = append(findings, strings.Split(s, "\n")...)
		}
	}
	if err := rows.Err(); Damaged(err) {
		return append(findings, err.Error()), nil
	}
	return findings, rows.Err()
}

// noted takes note of an error of the database, and returns it.
func (b *Backend) noted(err error) error {
	if Damaged(err) {
		b.damaged.Do(func() { b.mark(err) })
	}
	return err
}

// markSuffix is that of the file which has the next start look at all of the
// database.
const markSuffix = "-damaged"

// mark says that the database is damaged, in the log and to the next start.
func (b *Backend) mark(damage error) {
	b.log.Error("the store is damaged; requests that meet the damage fail. When kcmd starts again it quarantines the file and begins with an empty one",
		"store", b.path, "err", damage)
	if err := os.WriteFile(b.path+markSuffix, nil, 0o600); err != nil {
		b.log.Error("cannot mark the store as damaged: the next start may not notice", "store", b.path, "err", err)
	}
}

func (f *files) marked() bool { return exists(f.path + markSuffix) }

// unmark takes the mark away, once the file was looked at.
func (f *files) unmark() error {
	err := os.Remove(f.path + markSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkBeside looks at the whole database while it is used. A large one takes
// too long to have a start wait for it.
func (b *Backend) checkBeside() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func(db *sql.DB) {
		defer close(ended)
		// An error that says anything else is of no interest here: whoever
		// uses the database meets it as well.
		_ = b.noted(checkIntegrity(ctx, db, ""))
	}(b.read)
	b.stopChecking = func() {
		cancel()
		<-ended
	}
}

// quarantine renames the database, which nobody has open, with its other files, and
// logs it.
func (f *files) quarantine(damage error) error {
	f.letGo()
	to, err := quarantineFiles(f.path, time.Now(), "", "-wal", "-shm", "-journal")
	if err != nil {
		return fmt.Errorf("%w; cannot quarantine it: %w", damage, err)
	}
	if err := f.unmark(); err != nil {
		return err
	}
	f.log.Error("the store was damaged and is quarantined; starting with an empty one, all tickets must be got anew",
		"store", f.path, "moved_to", to, "err", damage)
	return nil
}

// quarantineFiles renames those files of the database at path that end in one of the
// parts, and returns the new name. Nothing is overwritten.
func quarantineFiles(path string, now time.Time, parts ...string) (to string, err error) {
	to = freeName(path+".corrupt-"+now.UTC().Format("20060102T150405Z"), parts)
	for _, part := range parts {
		if err := os.Rename(path+part, to+part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return to, syncDir(path)
}

// freeName returns the name, or the name with a number, under which none of the
// parts exists. Nobody else makes files in the directory.
func freeName(name string, parts []string) string {
	taken := func(name string) bool {
		for _, part := range parts {
			if exists(name + part) {
				return true
			}
		}
		return false
	}
	free := name
	for n := 2; taken(free); n++ {
		free = name + "-" + strconv.Itoa(n)
	}
	return free
}

// syncDir makes the names in the directory of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
