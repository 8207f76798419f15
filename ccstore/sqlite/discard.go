package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// A cache that is destroyed or cleared loses its generation, and so its credentials,
// at once. The rows of a large one are deleted in several transactions, so that other
// commits need not wait long. Until then the table discarded has the generation.

// discard deletes the credentials of a generation, as many as the portion of the
// transaction allows, and reports whether those were all. It leaves the rest to
// deleteDiscarded; no cache may keep the generation then.
func (w *writer) discard(ctx context.Context, generation int64) (all bool, err error) {
	all, err = w.deletePortion(ctx, generation)
	if err != nil || all {
		return all, err
	}
	w.discarded = true
	_, err = w.noteDiscarded.ExecContext(ctx, generation)
	return false, err
}

// deletePortion deletes credentials of a generation, as many as the portion allows,
// and reports whether those were all.
func (w *writer) deletePortion(ctx context.Context, generation int64) (all bool, err error) {
	if w.portion.spent() {
		return false, nil
	}
	last, all, err := w.lastOfPortion(ctx, generation)
	if err != nil || last == 0 {
		return all, err
	}
	w.deleted = true
	_, err = w.deleteUpTo.ExecContext(ctx, generation, last)
	return all, err
}

// lastOfPortion returns the last credential of a generation that the portion
// allows, and whether it is the last of all.
func (w *writer) lastOfPortion(ctx context.Context, generation int64) (last uint64, all bool, err error) {
	for limit := w.portion.rows; ; limit /= 2 {
		var p portion
		if err := w.sizes.QueryRowContext(ctx, generation, limit).Scan(&p.rows, &p.bytes, &last); err != nil {
			return 0, false, err
		}
		if p.bytes <= w.portion.bytes || p.rows == 1 {
			w.portion.take(p)
			return last, p.rows < limit, nil
		}
	}
}

// deleteDiscarded deletes a portion of the discarded credentials in a transaction,
// and reports whether those were all.
func (w *writer) deleteDiscarded() (all bool, err error) {
	err = w.withReserve(func() error {
		return w.inTransaction(onePortion, func() (err error) {
			all, err = w.deleteFirstDiscarded(context.Background())
			return err
		})
	})
	return all, err
}

func (w *writer) deleteFirstDiscarded(ctx context.Context) (all bool, err error) {
	for {
		var generation int64
		err := w.nextDiscarded.QueryRowContext(ctx, w.firstStaged).Scan(&generation)
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
