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
// there was no commit for wipeQuiet, at the latest wipeLimit after a commit. When the WAL
// has wipeFrames, a checkpoint has the next commits overwrite it from the beginning,
// which takes half the time of growing a file. There are no other checkpoints.
const (
	wipeQuiet  = 500 * time.Millisecond
	wipeLimit  = 5 * time.Second
	wipeFrames = 1 << 10 // of a page each
)

// The modes of a checkpoint.
const (
	truncate = "TRUNCATE" // empties the WAL
	restart  = "RESTART"  // has it overwritten
)

// A wiper decides when to make a checkpoint, and in which mode.
type wiper struct {
	timer    *time.Timer
	mode     string
	since    time.Time // of the first commit since the WAL was emptied; zero: there was none
	measured time.Time // when the WAL was last measured
	failed   bool      // the last checkpoint failed
}

// newWiper returns a wiper whose first checkpoint comes soon: a killed daemon has not
// emptied the WAL.
func newWiper() *wiper {
	return &wiper{timer: time.NewTimer(wipeQuiet), mode: truncate, since: time.Now()}
}

// measurePause is the time from one measurement of the WAL to the next.
const measurePause = 10 * time.Millisecond

// committed schedules a checkpoint after a commit. walHas reports whether the WAL has so
// many frames.
func (w *wiper) committed(walHas func(frames int64) bool) {
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	w.schedule(now)
	if w.failed || now.Sub(w.measured) < measurePause {
		return
	}
	w.measured = now
	if walHas(wipeFrames) {
		w.mode = restart
		w.timer.Reset(0)
	}
}

// schedule schedules the next checkpoint that empties the WAL.
func (w *wiper) schedule(now time.Time) {
	w.mode = truncate
	w.timer.Reset(min(wipeQuiet, w.since.Add(wipeLimit).Sub(now)))
}

// finished takes the result of a checkpoint. A failed one is logged once and tried
// again.
func (w *wiper) finished(err error, log *slog.Logger) {
	if err == nil {
		w.failed = false
		if w.mode == restart {
			w.schedule(time.Now())
		} else {
			w.since = time.Time{}
		}
		return
	}
	if !w.failed {
		log.Warn("cannot empty the write-ahead log of the store, which may hold what was deleted; trying again", "err", err)
	}
	w.since, w.failed, w.mode = time.Now(), true, truncate
	w.timer.Reset(wipeLimit)
}

// wipePatience is how long a checkpoint waits for readers, in milliseconds. Commits
// wait meanwhile.
const wipePatience = 500

// wipe makes a checkpoint that erases deleted contents.
func (w *writer) wipe(mode string) error {
	if err := w.setPatience(wipePatience); err != nil {
		return err
	}
	defer w.setPatience(busyPatience)
	var err error
	w.uncleared, err = wipe(context.Background(), w.conn, w.path, w.uncleared, mode)
	if err == nil {
		w.reserve.fill()
	}
	return err
}

// wipe clears the gaps of the pages in the WAL, or of all pages, and makes a checkpoint.
// On a full disk the checkpoint may succeed and the clearing fail: uncleared says that
// the next time all pages must be cleared.
func wipe(ctx context.Context, q querier, path string, all bool, mode string) (uncleared bool, err error) {
	clearing := clearPages(ctx, q, path, all)
	return clearing != nil, errors.Join(clearing, checkpoint(ctx, q, mode))
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

// checkpoint writes the WAL into the database durably. It fails if a reader keeps a
// snapshot for longer than the connection waits.
func checkpoint(ctx context.Context, q querier, mode string) error {
	var busy, frames, folded int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("another connection keeps reading the database")
	}
	return nil
}
