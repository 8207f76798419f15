package sqlite

import (
	"context"
	"database/sql"
	_ "embed" // for the scripts
	"fmt"
	"slices"
)

// applicationID in the header marks the databases of kcmd: "kcmd" in ASCII.
const applicationID = 0x6b636d64

//go:embed schema/0001_initial.sql
var firstSchema string

//go:embed schema/0002_quarantined.sql
var quarantinedSchema string

//go:embed schema/0003_fewer_pages.sql
var fewerPagesSchema string

// migrations are the scripts that upgrade a database from each version to the next;
// the first one starts from an empty file. Their number is the current version.
var migrations = []string{firstSchema, quarantinedSchema, fewerPagesSchema}

// migrate upgrades the database to the current version.
func migrate(ctx context.Context, db *sql.DB) error {
	version, err := checkHeader(ctx, db)
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if err := upgrade(ctx, db, migrations[version], version+1); err != nil {
			return fmt.Errorf("upgrade to version %d: %w", version+1, err)
		}
	}
	return nil
}

// checkHeader returns the version of the database, 0 if it is empty. It fails if the
// database is not kcmd's or newer than this kcmd.
func checkHeader(ctx context.Context, db *sql.DB) (version int, err error) {
	current := len(migrations)
	var id int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	switch {
	case id == 0 && version == 0:
		list, err := tables(ctx, db)
		if err == nil && len(list) > 0 {
			err = notOurs(id)
		}
		return 0, err
	case id != applicationID:
		return 0, notOurs(id)
	case version < 1 || version > current:
		return 0, fmt.Errorf("its version is %d, this kcmd knows 1 to %d", version, current)
	}
	return version, nil
}

// checkTables checks that a database of the current version has the tables and
// indexes of that version. An older one fails in its upgrade.
func checkTables(ctx context.Context, db *sql.DB, version int) error {
	if version < len(migrations) {
		return nil
	}
	want, err := currentTables(ctx)
	if err != nil {
		return err
	}
	got, err := tables(ctx, db)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: its tables are not those of its version", errCorrupt)
	}
	return nil
}

// currentTables returns the tables of a new database.
func currentTables(ctx context.Context) ([]string, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection has a database of its own
	if err := migrate(ctx, db); err != nil {
		return nil, err
	}
	return tables(ctx, db)
}

// tables returns the statements that created the tables and indexes of a database.
func tables(ctx context.Context, db *sql.DB) (list []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT type || ' ' || name || ' ' || tbl_name || coalesce(' ' || sql, '') FROM sqlite_schema ORDER BY type, name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one sql.NullString
		if err := rows.Scan(&one); err != nil {
			return nil, notAsWritten(err)
		}
		list = append(list, one.String)
	}
	return list, rows.Err()
}

func notOurs(id int) error {
	return fmt.Errorf("it is a database of another program (application_id %#x, ours is %#x)", id, applicationID)
}

// upgrade runs one script and sets the version in one transaction.
func upgrade(ctx context.Context, db *sql.DB, script string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	header := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
	if _, err := tx.ExecContext(ctx, header); err != nil {
		return err
	}
	return tx.Commit()
}
