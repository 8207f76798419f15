package sqlite

import "context"

// examine refuses a database that is not kcmd's or has another key, and detects
// damage. It changes nothing: any other connection would change the journal mode or
// fold the WAL into the file.
func (f *files) examine(ctx context.Context, checkKey keyCheck) error {
	db, err := openReadOnly(f.path)
	if err != nil {
		return err
	}
	defer db.Close()
	version, err := checkHeader(ctx, db)
	if err != nil || version == 0 {
		return err
	}
	if err := checkTables(ctx, db, version); err != nil {
		return err
	}
	if f.marked() {
		if err := checkIntegrity(ctx, db, ""); err != nil {
			return err
		}
		f.log.Info("the store was marked as damaged, but nothing is wrong with it", "store", f.path)
		if err := f.unmark(); err != nil {
			return err
		}
	}
	// Every request needs this table, and it is small.
	if err := checkIntegrity(ctx, db, "collections"); err != nil {
		return err
	}
	return checkKey(ctx, db)
}
