package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// The credentials of a cache that was destroyed or emptied are out of use at once.
// As many as fit into the transaction are deleted in it, the others afterwards in
// transactions of their own, so that nobody waits long for the writer.

// discard deletes the credentials of a generation that no cache has any longer, as
// far as the portion of the transaction goes, and notes the generation for later if
// that is not all of it.
func (w *writer) discard(ctx context.Context, generation int64) error {
	all, err := w.deletePortion(ctx, generation)
	if err != nil || all {
		return err
	}
	w.noted = true
	_, err = w.noteDiscarded.ExecContext(ctx, generation)
	return err
}

// deletePortion reports whether nothing is left of the generation.
func (w *writer) deletePortion(ctx context.Context, generation int64) (all bool, err error) {
	if w.portion.used() {
		return false, nil
	}
	last, all, err := w.lastOfPortion(ctx, generation)
	if err != nil {
		return false, err
	}
	_, err = w.deleteUpTo.ExecContext(ctx, generation, last)
	return all, err
}

// lastOfPortion takes credentials of a generation into the portion, and returns
// the last of them.
func (w *writer) lastOfPortion(ctx context.Context, generation int64) (last uint64, all bool, err error) {
	rows, err := w.sizes.QueryContext(ctx, generation)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for rows.Next() {
		if w.portion.used() {
			return last, false, nil
		}
		var size int
		if err := rows.Scan(&last, &size); err != nil {
			return 0, false, notAsWritten(err)
		}
		w.portion.rows--
		w.portion.bytes -= size
	}
	return last, true, rows.Err()
}

// deleteDiscarded deletes a portion of what was noted for later, in a transaction
// of its own, and reports whether that was the last of it.
func (w *writer) deleteDiscarded() (all bool, err error) {
	if err := w.beginTransaction(); err != nil {
		return false, err
	}
	if all, err = w.deleteNoted(context.Background()); err == nil {
		err = w.run(w.commit)
	}
	if err != nil {
		w.rollBack()
	}
	return all && err == nil, err
}

func (w *writer) deleteNoted(ctx context.Context) (all bool, err error) {
	for {
		var generation int64
		err := w.nextDiscarded.QueryRowContext(ctx).Scan(&generation)
		if errors.Is(err, sql.ErrNoRows) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if all, err := w.deletePortion(ctx, generation); err != nil || !all {
			return false, err
		}
		if _, err := w.forgetDiscarded.ExecContext(ctx, generation); err != nil {
			return false, err
		}
	}
}
