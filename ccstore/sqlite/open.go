package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
)

// Synchronous is the durability that a commit waits for.
type Synchronous string

// The values of Synchronous.
const (
	Full   Synchronous = "full"   // on the disk: survives a power cut
	Normal Synchronous = "normal" // in the kernel: survives a killed daemon; a power cut may lose the last commits
)

// Options configures a Backend. The zero value is fine.
type Options struct {
	Synchronous Synchronous  // default Full
	Key         []byte       // encrypts the credentials; KeySize bytes; default: none
	Logger      *slog.Logger // default: none
}

// Open opens the database at path, creates it if it is missing, and upgrades it to
// the current version. The file must belong to the caller and have mode 0600, its
// directory 0700 to 0755, and no other user may be able to replace a directory above.
//
// Open refuses a database of another program or of a newer version, one that another
// process has open, one with another key than o.Key (ErrNoKey, ErrWrongKey), and,
// if there is a key, one with unencrypted credentials (ErrNotEncrypted), and does
// not change them. It quarantines a damaged database, logs that, and creates an empty
// one.
func Open(ctx context.Context, path string, o Options) (*Backend, error) {
	b, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	return b, nil
}

func open(ctx context.Context, path string, o Options) (_ *Backend, err error) {
	if o.Synchronous == "" {
		o.Synchronous = Full
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := claim(path, o.Logger)
	if err != nil {
		return nil, err
	}
	b := &Backend{files: f, requests: make(chan *request), stopped: make(chan struct{}), stopChecking: func() {}}
	defer func() {
		if err != nil {
			b.closeDatabase()
			f.release()
		}
	}()
	w, err := b.start(ctx, o)
	if Damaged(err) && f.ours {
		b.closeDatabase()
		if err = f.quarantine(err); err == nil {
			w, err = b.start(ctx, o)
		}
	}
	if err != nil {
		return nil, err
	}
	go b.writeLoop(w)
	return b, nil
}

// start opens the connections of b and returns the writer.
func (b *Backend) start(ctx context.Context, o Options) (w *writer, err error) {
	wal, err := b.walSize() // a killed daemon leaves one
	if err != nil {
		return nil, err
	}
	if b.write, err = b.openCurrent(ctx, o.Synchronous, keyIs(o.Key)); err != nil {
		return nil, err
	}
	if b.key, err = b.ensureKey(ctx, b.write, o.Key); err != nil {
		return nil, err
	}
	// The end of the WAL of a killed process can be read, but need not be on the disk
	// yet: a power cut could undo it after a client has seen it. A full disk must not
	// prevent the start, though.
	uncleared, wiping := wipe(ctx, b.write, b.path, false, truncate)
	if b.read, err = connectTo(b.path, "_txlock=deferred", readerSettings(o.Synchronous), readers); err != nil {
		return nil, err
	}
	if w, err = newWriter(ctx, b.path, b.write, b.key); err != nil {
		return nil, err
	}
	w.sync, w.uncleared, w.unwiped = o.Synchronous, uncleared, wiping != nil
	if !w.unwiped {
		_ = beginWAL(ctx, w.conn, w.sync) // or the first commit does
	}
	w.reserve.fill()
	if err := b.measure(ctx, w.conn); err != nil {
		w.close()
		return nil, err
	}
	if wal > 0 {
		b.checkInBackground()
	}
	return w, nil
}

// openCurrent examines the database, upgrades it to the current version and returns
// the connection that writes to it. It does not change a database that it refuses.
func (f *files) openCurrent(ctx context.Context, sync Synchronous, checkKey keyCheck) (*sql.DB, error) {
	if err := f.checkPresent(); err != nil {
		return nil, err
	}
	if err := f.lockDatabase(); err != nil {
		return nil, err
	}
	if err := f.examine(ctx, checkKey); err != nil {
		return nil, err
	}
	if err := f.checkWAL(); err != nil {
		return nil, err
	}
	db, err := connectTo(f.path, "_txlock=immediate", settings(sync), 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}
