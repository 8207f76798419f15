package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/sqlite"
)

// openStore opens the store over the backend that c names.
func openStore(ctx context.Context, c *config, log *slog.Logger) (*ccstore.Store, error) {
	backend, err := openBackend(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return ccstore.Open(backend, ccstore.Options{Logger: log, Limits: c.limits}), nil
}

func openBackend(ctx context.Context, c *config, log *slog.Logger) (ccstore.Backend, error) {
	path, ok := strings.CutPrefix(c.store, sqliteStore)
	if !ok {
		return memory.New(), nil
	}
	if err := makeStoreDir(filepath.Dir(path), c.session); err != nil {
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	return sqlite.Open(ctx, path, sqlite.Options{Synchronous: sqlite.Synchronous(c.synchronous), Logger: log})
}

// makeStoreDir makes the directory of the database if it is missing, closed to
// others. In a session it may be the first to use ~/.local/state.
func makeStoreDir(dir string, session bool) error {
	if session {
		return os.MkdirAll(dir, 0o700)
	}
	return makeDir(dir, 0o700)
}
