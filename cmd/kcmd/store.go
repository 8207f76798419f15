package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/clock"
)

// openStore opens the store with the configured backend.
func openStore(ctx context.Context, c *config, budgets budget.Limits, clk clock.Clock, log *slog.Logger) (*ccstore.Store, error) {
	backend, err := openBackend(ctx, c, clk, log)
	if err != nil {
		return nil, err
	}
	store := ccstore.Open(backend, ccstore.Options{
		Logger: log, Clock: clk, Limits: storeLimits(c, budgets), Resident: budgets.Collections.Whole, ReapAfter: c.reapAfter,
	})
	if strings.HasPrefix(c.store, keyringStore) {
		if err := follow(ctx, store); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	}
	return store, nil
}

// storeLimits returns the limits of the store as configured.
func storeLimits(c *config, budgets budget.Limits) ccstore.Limits {
	limits := c.limits
	limits.Whole = budgets.Stored.Whole
	return limits
}

func openBackend(ctx context.Context, c *config, clk clock.Clock, log *slog.Logger) (ccstore.Backend, error) {
	path, ok := strings.CutPrefix(c.store, sqliteStore)
	if !ok && c.encryptionKey != "" {
		log.Info("encryption_key is not used: the store is in memory")
	}
	if name, ok := strings.CutPrefix(c.store, keyringStore); ok {
		return openKeyring(name, clk, log)
	}
	if !ok {
		return memory.New(), nil
	}
	key, err := loadKey(c.encryptionKey)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if err := makeStoreDir(filepath.Dir(path), c.session); err != nil {
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	backend, err := sqlite.Open(ctx, path, sqlite.Options{
		Synchronous: sqlite.Synchronous(c.synchronous),
		Key:         key,
		Logger:      log,
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("cannot open store %s: it is a symbolic link; allowed: the path of the file itself", path)
	}
	if err != nil {
		return nil, keyHint(err, c.encryptionKey)
	}
	if key == nil {
		log.Info("the store is not encrypted, only its mode protects it; to encrypt it, set encryption_key", "store", path)
	}
	return backend, nil
}

// keyHint adds a remedy to an error of the store about its key.
func keyHint(err error, key string) error {
	switch {
	case errors.Is(err, sqlite.ErrNoKey):
		return fmt.Errorf("%w; set encryption_key", err)
	case errors.Is(err, sqlite.ErrNotEncrypted):
		return fmt.Errorf("%w; encrypt it with kcmd rekey --new-key %s, or move it away", err, key)
	case errors.Is(err, sqlite.ErrWrongKey):
		return fmt.Errorf("%w; encryption_key is %q", err, key)
	}
	return err
}

// makeStoreDir creates a missing directory of the database, for its owner only. In a
// session, ~/.local/state may be missing too.
func makeStoreDir(dir string, session bool) error {
	if session {
		return os.MkdirAll(dir, 0o700)
	}
	return makeDir(dir, 0o700)
}
