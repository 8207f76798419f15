package sqlite

import (
	"context"
	"errors"
	"time"
)

// examine refuses a database that is not for us or has another key, and finds out
// whether it is damaged. It changes nothing: not even the journal
// mode, nor does it fold a WAL into the file, as any other connection would.
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
	// Without it nothing can be found, and it is small.
	if err := checkIntegrity(ctx, db, "collections"); err != nil {
		return err
	}
	return checkKey(ctx, db)
}

// checkWAL says what of the WAL that a killed daemon has left cannot be read.
func (f *files) checkWAL() error {
	err := checkWAL(f.path)
	if errors.Is(err, errWALHeader) {
		// SQLite would write over it.
		to, e := quarantineFiles(f.path, time.Now(), "-wal")
		if e != nil {
			return e
		}
		f.log.Error("the last changes to the store are lost", "store", f.path, "moved_to", to+"-wal", "err", err)
		return nil
	}
	if err != nil {
		f.log.Error("the last changes to the store are lost, by a power cut or by damage", "store", f.path, "err", err)
	}
	return nil
}
