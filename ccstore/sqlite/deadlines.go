package sqlite

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// deadlineColumns are the columns of caches for the kinds of deadlines.
var deadlineColumns = [ccstore.DeadlineKinds]string{ccstore.Expiry: "expiry", ccstore.Reaping: "reaping", ccstore.Renewing: "renewing"}

// never is ccstore.Never in SQL; the table has NULL for it.
const never = "9223372036854775807"

// eachDeadline repeats a piece of SQL for each deadline, with the name of its column
// in place of COLUMN, separated by commas.
func eachDeadline(piece string) string {
	var list []string
	for _, column := range deadlineColumns {
		list = append(list, strings.ReplaceAll(piece, "COLUMN", column))
	}
	return strings.Join(list, ", ")
}

// Due implements ccstore.Backend.
func (b *Backend) Due(ctx context.Context, kind ccstore.DeadlineKind, after, until int64, limit int) ([]ccstore.Deadline, error) {
	list, err := b.due(ctx, kind, after, until, limit)
	return list, b.noted(err)
}

func (b *Backend) due(ctx context.Context, kind ccstore.DeadlineKind, after, until int64, limit int) ([]ccstore.Deadline, error) {
	rows, err := b.read.QueryContext(ctx, `SELECT namespace, uid, level, uuid, at
		FROM deadlines JOIN caches ON caches.collection = deadlines.collection AND caches.id = cache
			JOIN collections ON collections.id = caches.collection
		WHERE kind = ? AND at > ? AND at <= ? ORDER BY at LIMIT ?`, deadlineColumns[kind], after, until, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.Deadline
	for rows.Next() {
		d := ccstore.Deadline{Kind: kind}
		var id []byte
		if err := rows.Scan(&d.Owner.Namespace, &d.Owner.UID, &d.Owner.Level, &id, &d.At); err != nil {
			return nil, notAsWritten(err)
		}
		if d.Cache, err = uuid.FromBytes(id); err != nil {
			return nil, notAsWritten(err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}
