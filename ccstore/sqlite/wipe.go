package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// What was deleted is overwritten in the pages of the database, but these
// stand in the WAL first: the file itself still has the former page until a
// checkpoint, and the WAL keeps the former ones until it is written over, which
// may be never. So the WAL is folded into the file and emptied once nothing has
// been committed for wipeQuiet, and at the latest wipeLimit after a commit.
const (
	wipeQuiet = 500 * time.Millisecond
	wipeLimit = 5 * time.Second
)

// A wiper knows when to wipe.
type wiper struct {
	timer  *time.Timer
	since  time.Time // of the first commit after the last time; zero: there was none
	failed bool      // the last time
}

// newWiper has the first time come soon: a daemon that was killed has not
// wiped after its last commit.
func newWiper() *wiper {
	return &wiper{timer: time.NewTimer(wipeQuiet), since: time.Now()}
}

// committed takes note of a commit.
func (w *wiper) committed() {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.timer.Reset(min(wipeQuiet, time.Until(w.since.Add(wipeLimit))))
}

// wiped takes note of how it went. What failed is tried again.
func (w *wiper) wiped(err error, log *slog.Logger) {
	if err == nil {
		w.since, w.failed = time.Time{}, false
		return
	}
	if !w.failed {
		log.Warn("cannot empty the write-ahead log of the store, which may hold what was deleted; trying again", "err", err)
	}
	w.since, w.failed = time.Now(), true
	w.timer.Reset(wipeLimit)
}

// wipePatience is how long wiping waits for readers, in milliseconds. Commits
// wait for it as well.
const wipePatience = 500

// checkpoint empties the WAL on the connection that writes.
func (w *writer) checkpoint() error {
	if err := w.setPatience(wipePatience); err != nil {
		return err
	}
	defer w.setPatience(busyPatience)
	return checkpoint(context.Background(), w.conn)
}

func (w *writer) setPatience(milliseconds int) error {
	_, err := w.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA busy_timeout = %d", milliseconds))
	return err
}

// checkpoint writes the WAL into the database, durably, and empties it. It fails if
// somebody reads the database for longer than the connection waits.
func checkpoint(ctx context.Context, q querier) error {
	var busy, frames, folded int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("somebody reads the database all the time")
	}
	return nil
}
