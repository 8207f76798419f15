package main

import (
	"context"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
)

// checkStore verifies the database of a daemon that has ended.
func (s *stage) checkStore() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	backend, err := sqlite.Open(ctx, s.life.daemon.Database, sqlite.Options{})
	if err != nil {
		s.faults.add("store", err)
		return
	}
	store := ccstore.Open(backend, ccstore.Options{})
	if err := store.Check(ctx); err != nil {
		s.faults.add("store", err)
	}
	if err := store.Close(); err != nil {
		s.faults.add("store", err)
	}
}
