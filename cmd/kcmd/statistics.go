package main

import (
	"context"
	"strings"

	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/kcmserver"
)

// statistics returns what returns the figures of the daemon since its start.
func (d *daemon) statistics() func(context.Context) (*dbus.Statistics, error) {
	c := d.config // a reload replaces it; the store stays
	return func(ctx context.Context) (*dbus.Statistics, error) { return d.figures(ctx, c) }
}

func (d *daemon) figures(ctx context.Context, c *config) (*dbus.Statistics, error) {
	health, err := d.store.Health(ctx)
	if err != nil {
		return nil, err
	}
	s := d.server.Stats()
	return &dbus.Statistics{
		Started: d.started, Store: c.store, Encrypted: c.encryptionKey != "" && strings.HasPrefix(c.store, sqliteStore),
		StoreBytes: health.Stored, Quarantined: uint32(health.Quarantined),
		Unreadable: health.Unreadable, Unwritable: health.Unwritable,
		Collections: uint32(health.Loaded), CacheBytes: health.InMemory,
		Connections: uint32(s.Connections), Accepted: s.Accepted, Refused: s.Refused, Cut: s.Cut,
		Requests: requestsByName(s),
	}, nil
}

// requestsByName returns the answers by the names of opcodes and codes.
func requestsByName(s kcmserver.Stats) map[string]map[string]uint64 {
	byName := make(map[string]map[string]uint64)
	for op, codes := range s.Requests {
		name := op.String()
		if op == kcmserver.UnknownOpcode {
			name = "UNKNOWN"
		}
		byName[name] = make(map[string]uint64)
		for code, n := range codes {
			byName[name][code.String()] = n
		}
	}
	return byName
}
