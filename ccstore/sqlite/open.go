package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
)

// Synchronous says what a commit waits for.
type Synchronous string

// What a commit waits for.
const (
	Full   Synchronous = "full"   // the disk: survives a power cut
	Normal Synchronous = "normal" // the kernel: survives the end of the daemon; a power cut may lose the last commits
)

// Options configures a Backend. The zero value is fine.
type Options struct {
	Synchronous Synchronous  // default Full
	Key         []byte       // seals the credentials, KeySize bytes; default: none, they are stored as they are
	Logger      *slog.Logger // default: none
}

// Open opens the database at path, creates it if it is missing, and brings it to
// the current version. The file and its directory must be the caller's own and
// closed to others, and nobody else may be able to replace a directory above them.
//
// A database of another program, of a newer version, or that another process has
// open is refused and left as it is. So is one that is encrypted with another key
// than o.Key (ErrNoKey, ErrWrongKey), and one that holds credentials that are not
// encrypted if there is a key (ErrNotEncrypted): Rekey encrypts them. A damaged
// database is quarantined, and an empty one takes its place; the log says so.
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

// start opens the connections of b, and returns that of the writer.
func (b *Backend) start(ctx context.Context, o Options) (w *writer, err error) {
	killed, err := b.walSize() // what a daemon leaves that was killed
	if err != nil {
		return nil, err
	}
	if b.write, err = b.openCurrent(ctx, o.Synchronous, keyIs(o.Key)); err != nil {
		return nil, err
	}
	if b.key, err = b.unlock(ctx, b.write, o.Key); err != nil {
		return nil, err
	}
	// The end of a WAL that a killed process has left can be read, but need not be
	// on the disk yet: a client would see it, and not any more after a power cut. On
	// a full disk that has to wait, and what is stored is served all the same.
	_ = checkpoint(ctx, b.write)
	if b.read, err = connect(b.path, "_txlock=deferred", append(settings(o.Synchronous), "query_only(1)"), readers); err != nil {
		return nil, err
	}
	if w, err = newWriter(ctx, b.write, b.key); err != nil {
		return nil, err
	}
	if killed > 0 {
		b.checkBeside()
	}
	return w, nil
}

// openCurrent returns the connection that writes to the database, once that is
// known to be ours, whole as far as a short look tells, and of the right key, and is
// of the current version. A database that is refused is left as it is.
func (f *files) openCurrent(ctx context.Context, sync Synchronous, checkKey keyCheck) (*sql.DB, error) {
	if err := f.checkPresent(); err != nil {
		return nil, err
	}
	if err := f.hold(); err != nil {
		return nil, err
	}
	if err := f.examine(ctx, checkKey); err != nil {
		return nil, err
	}
	if err := f.checkWAL(); err != nil {
		return nil, err
	}
	db, err := connect(f.path, "_txlock=immediate", settings(sync), 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}
