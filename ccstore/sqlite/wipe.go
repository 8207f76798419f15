package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// SQLite overwrites deleted content, but writes the new page to the WAL: the file has
// the old page until a checkpoint, and the WAL has older versions of the page until
// they are overwritten, which may never happen. So a checkpoint empties the WAL when
// there was no commit for wipeQuiet, at the latest wipeLimit after a commit, and when the
// WAL has wipeSize bytes. There are no other checkpoints.
const (
	wipeQuiet = 500 * time.Millisecond
	wipeLimit = 5 * time.Second
	wipeSize  = 4 << 20
)

// A wiper decides when to empty the WAL.
type wiper struct {
	timer    *time.Timer
	since    time.Time // of the first commit since the last checkpoint; zero: there was none
	measured time.Time // when walSize was last asked for
	failed   bool      // the last checkpoint failed
}

// newWiper returns a wiper whose first checkpoint comes soon: a killed daemon has not
// emptied the WAL.
func newWiper() *wiper {
	return &wiper{timer: time.NewTimer(wipeQuiet), since: time.Now()}
}

// measurePause is the time from one measurement of the WAL to the next: a measurement
// takes as long as a twentieth of a commit.
const measurePause = 10 * time.Millisecond

// committed schedules a checkpoint after a commit, at once if the WAL is large.
func (w *wiper) committed(walSize func() (int64, error)) {
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	pause := min(wipeQuiet, w.since.Add(wipeLimit).Sub(now))
	if !w.failed && now.Sub(w.measured) >= measurePause {
		w.measured = now
		if size, err := walSize(); err == nil && size >= wipeSize {
			pause = 0
		}
	}
	w.timer.Reset(pause)
}

// finished takes the result of a checkpoint. A failed one is logged once and tried
// again.
func (w *wiper) finished(err error, log *slog.Logger) {
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

// wipePatience is how long a checkpoint waits for readers, in milliseconds. Commits
// wait meanwhile.
const wipePatience = 500

// wipe erases deleted contents from the files of the database.
func (w *writer) wipe() error {
	if err := w.setPatience(wipePatience); err != nil {
		return err
	}
	defer w.setPatience(busyPatience)
	var err error
	w.uncleared, err = wipe(context.Background(), w.conn, w.path, w.uncleared)
	if err == nil {
		w.reserve.fill()
	}
	return err
}

// wipe clears the gaps of the pages in the WAL, or of all pages, and empties the WAL.
// On a full disk the checkpoint may succeed and the clearing fail: uncleared says that
// the next time all pages must be cleared.
func wipe(ctx context.Context, q querier, path string, all bool) (uncleared bool, err error) {
	clearing := clearPages(ctx, q, path, all)
	return clearing != nil, errors.Join(clearing, checkpoint(ctx, q))
}

func clearPages(ctx context.Context, q querier, path string, all bool) error {
	pages, err := walPages(path)
	if all {
		pages, err = allPages(ctx, q)
	}
	if err != nil || len(pages) == 0 {
		return err
	}
	return clearGaps(ctx, q, pages)
}

func (w *writer) setPatience(milliseconds int) error {
	_, err := w.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA busy_timeout = %d", milliseconds))
	return err
}

// checkpoint writes the WAL into the database durably, and empties it. It fails if a
// reader keeps a snapshot for longer than the connection waits.
func checkpoint(ctx context.Context, q querier) error {
	var busy, frames, folded int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("another connection keeps reading the database")
	}
	return nil
}
