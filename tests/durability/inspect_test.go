package durability

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/kcmserver"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

// inspect opens a database as the daemon does at its start, checks the store, and calls
// look with a client of a server over it.
func inspect(database string, look func(*kcmclient.Client) error) (err error) {
	ctx := context.Background()
	b, err := sqlite.Open(ctx, database, sqlite.Options{})
	if err != nil {
		return err
	}
	store := ccstore.Open(b, ccstore.Options{})
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		peer := kcmserver.Peer{Namespace: ccstore.DefaultNamespace, UID: uint32(os.Getuid()), PID: int32(os.Getpid())}
		served <- kcmserver.New(store, kcmserver.Options{}).ServeConn(ctx, far, peer)
	}()
	err = look(kcmclient.New(near))
	near.Close()
	return errors.Join(err, <-served, store.Check(ctx), store.Close(), integrity(database))
}

// integrity runs SQLite's check of a closed database.
func integrity(database string) error {
	db, err := sql.Open("sqlite", database)
	if err != nil {
		return err
	}
	defer db.Close()
	var said string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil {
		return fmt.Errorf("integrity check: %w", err)
	}
	if said != "ok" {
		return fmt.Errorf("integrity check: %s", said)
	}
	var broken int
	if err := db.QueryRow("SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken); err != nil {
		return fmt.Errorf("foreign key check: %w", err)
	}
	if broken > 0 {
		return fmt.Errorf("foreign key check: %d rows", broken)
	}
	return nil
}

// compareAll compares the stored state with the histories of all clients.
func compareAll(clients []*client, from *kcmclient.Client) error {
	var errs []error
	for _, c := range clients {
		errs = append(errs, c.compare(from))
	}
	return errors.Join(errs...)
}

// compareLeft compares the files of an ended daemon, in a copy, since opening changes
// them.
func compareLeft(clients []*client, database string) error {
	dir, err := os.MkdirTemp(shared.Dir, "left-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, suffix := range []string{"", "-wal", "-journal"} {
		b, err := os.ReadFile(database + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "kcmd.db"+suffix), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return inspect(filepath.Join(dir, "kcmd.db"), func(from *kcmclient.Client) error { return compareAll(clients, from) })
}
