package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A start checks the header, the schema and the table of collections. Damage there
// quarantines the file, and the daemon starts with an empty one. Damage that a
// request meets later fails that request only; a mark beside the file makes the next
// start check the whole file.

// checkIntegrity checks a table with its indexes, or the whole file if table is "".
func checkIntegrity(ctx context.Context, db querier, table string) error {
	findings, err := integrity(ctx, db, table)
	if err == nil && len(findings) > 0 {
		err = fmt.Errorf("%w: %s", errCorrupt, findings[0])
	}
	return err
}

// integrity returns the findings of SQLite's check: about 100 at most, and the error
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

// checkInBackground checks the whole database while it is in use: for a large one
// that takes too long to delay the start.
func (b *Backend) checkInBackground() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func(db querier) {
		defer close(ended)
		// Only damage matters here; requests meet any other error themselves.
		_ = b.noted(checkIntegrity(ctx, db, ""))
	}(b.read)
	b.stopChecking = func() {
		cancel()
		<-ended
	}
}

// markSuffix ends the name of the mark.
const markSuffix = "-damaged"

// mark logs that the database is damaged, and marks it.
func (b *Backend) mark(damage error) {
	b.log.Error("the store is damaged; requests that meet the damage fail. When kcmd starts again it quarantines the file and begins with an empty one",
		"store", b.path, "err", damage)
	if err := os.WriteFile(b.path+markSuffix, nil, 0o600); err != nil {
		b.log.Error("cannot mark the store as damaged: the next start may not notice", "store", b.path, "err", err)
	}
}

func (f *files) marked() bool { return exists(f.path + markSuffix) }

// unmark removes the mark once the whole file was checked.
func (f *files) unmark() error {
	err := os.Remove(f.path + markSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
