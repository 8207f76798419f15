package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	codes "modernc.org/sqlite/lib"
)

// SQLite overwrites deleted content, but writes the new page to the WAL: the file has
// the old page until a checkpoint, and the WAL has older versions of the page until
// they are overwritten, which may never happen. So after a commit that deletes or
// overwrites a checkpoint erases the WAL when there was no commit for wipeQuiet, at the
// latest after wipeLimit. A commit that only adds needs none, until the WAL has
// restFrames at rest, or wipeFrames: then the next commits overwrite it. There are no
// other checkpoints.
const (
	wipeQuiet  = 500 * time.Millisecond
	wipeLimit  = 5 * time.Second
	restFrames = 1 << 7 // less than the reserve: on a full disk the file can grow by so many pages
	wipeFrames = 1 << 10
)

// What follows a checkpoint.
type checkpointMode string

const (
	truncate checkpointMode = "truncate" // frees the disk space of the WAL
	restart  checkpointMode = "restart"  // begins it anew in its place
	erase    checkpointMode = "erase"    // and overwrites the rest of it
)

// A wiper decides when to make a checkpoint, and in which mode.
type wiper struct {
	timer    *time.Timer
	open     bool      // there was a commit since the last checkpoint
	full     bool      // the WAL has wipeFrames
	erasable time.Time // when something was deleted first that the files still have; zero: nothing was
	measured time.Time // when the WAL was last measured

	failing time.Time     // since when checkpoints fail; zero: the last one succeeded
	retry   time.Duration // the wait after the next one that a reader prevents
	logged  bool          // the log has a line about the failures
}

// newWiper returns a wiper. If unwiped is set its first checkpoint comes soon: a killed
// daemon has not erased the WAL.
func newWiper(unwiped bool) *wiper {
	w := &wiper{timer: time.NewTimer(wipeQuiet), open: unwiped}
	if unwiped {
		w.erasable = time.Now()
	} else {
		w.timer.Stop()
	}
	return w
}

// measurePause is the time from one measurement of the WAL to the next.
const measurePause = 10 * time.Millisecond

// committed schedules a checkpoint after a commit, which may have deleted something.
// walHas reports whether the WAL has so many frames.
func (w *wiper) committed(deleted bool, walHas func(frames int64) bool) {
	now := time.Now()
	w.open = true
	if deleted && w.erasable.IsZero() {
		w.erasable = now
	}
	w.schedule(now)
	if !w.failing.IsZero() || now.Sub(w.measured) < measurePause {
		return
	}
	w.measured = now
	if w.full = walHas(wipeFrames); w.full {
		w.timer.Reset(0)
	}
}

// schedule schedules the look at the WAL when there are no more commits.
func (w *wiper) schedule(now time.Time) {
	wait := wipeQuiet
	if !w.erasable.IsZero() {
		wait = min(wait, w.erasable.Add(wipeLimit).Sub(now))
	}
	w.timer.Reset(wait)
}

// due returns the mode of the checkpoint to make now, if one is to be made.
func (w *wiper) due(walHas func(frames int64) bool) (mode checkpointMode, is bool) {
	if w.full {
		return restart, true
	}
	return erase, !w.erasable.IsZero() || walHas(restFrames)
}

// finished takes the result of a checkpoint. A failed one is tried again, and logged
// once. Readers that prevent it are logged after wipeLimit: on a busy machine they may
// only be slow.
func (w *wiper) finished(mode checkpointMode, err error, log *slog.Logger) {
	w.full = false
	if err == nil {
		w.failing, w.logged, w.open = time.Time{}, false, false
		if mode == restart {
			w.schedule(time.Now())
		} else {
			w.erasable = time.Time{}
		}
		return
	}
	now, wait := time.Now(), wipeLimit
	if w.failing.IsZero() {
		w.failing, w.retry = now, wipeQuiet
	}
	if errors.Is(err, errBusy) {
		wait = w.retry
		w.retry = min(2*w.retry, wipeLimit)
	}
	if !w.logged && (!errors.Is(err, errBusy) || now.Sub(w.failing) >= wipeLimit) {
		w.logged = true
		log.Warn("cannot empty the write-ahead log of the store, which may hold what was deleted; trying again", "err", err)
	}
	if !w.erasable.IsZero() {
		w.erasable = now
	}
	w.timer.Reset(wait)
}

// wipePatience is how long a checkpoint waits for readers, in milliseconds. Commits
// wait meanwhile.
const wipePatience = 500

// wipe makes a checkpoint that erases deleted contents. If the disk has no room for
// the pages that the file still lacks, it uses the reserve.
func (w *writer) wipe(mode checkpointMode) error {
	if err := w.setPatience(wipePatience); err != nil {
		return err
	}
	defer w.setPatience(busyPatience)
	err := w.tryWipe(mode)
	if primary(err) == codes.SQLITE_FULL && w.reserve.free() {
		err = w.tryWipe(truncate)
	}
	if err == nil {
		w.reserve.fill()
	}
	return err
}

func (w *writer) tryWipe(mode checkpointMode) (err error) {
	ctx := context.Background()
	w.uncleared, err = wipe(ctx, w.conn, w.path, w.uncleared, mode)
	if err == nil && mode != truncate {
		err = beginWAL(ctx, w.conn, w.sync)
	}
	if err == nil && mode == erase {
		err = eraseWAL(w.path)
	}
	return err
}

// wipe clears the gaps of the pages in the WAL, or of all pages, and makes a checkpoint.
// On a full disk the checkpoint may succeed and the clearing fail: uncleared says that
// the next time all pages must be cleared.
func wipe(ctx context.Context, q querier, path string, all bool, mode checkpointMode) (uncleared bool, err error) {
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

var errBusy = errors.New("another connection keeps reading the database")

// checkpoint writes the WAL into the database durably. It fails if a reader keeps a
// snapshot for longer than the connection waits.
func checkpoint(ctx context.Context, q querier, mode checkpointMode) error {
	pragma := "RESTART"
	if mode == truncate {
		pragma = "TRUNCATE"
	}
	var busy, frames, folded int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+pragma+")").Scan(&busy, &frames, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errBusy
	}
	return nil
}
