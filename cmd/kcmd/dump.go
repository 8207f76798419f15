package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/ccstore/describe"
	"kcmd.org/kcmd/ccstore/sqlite"
)

// newDump returns the command that prints the contents of a store.
func newDump() *cobra.Command {
	asJSON := false
	cmd := newInspector(&cobra.Command{
		Use:   "dump [options] [STORE]",
		Short: "print the contents of a store, without session keys and tickets",
		Long: `kcmd dump prints the collections, caches and tickets in the configured database,
or in STORE, without session keys and the tickets' encrypted parts. It changes
nothing and works while a daemon uses the database.

Exit status: 0; 1 if the store is damaged; 2 if it cannot be read. See kcmd check.`,
	}, func(ctx context.Context, r *sqlite.Reader, path string, out io.Writer) error {
		write := (*describe.Collection).WriteTable
		if asJSON {
			write = (*describe.Collection).WriteJSON
		}
		return dump(ctx, r, path, func(c *describe.Collection) error { return write(c, out) })
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each collection")
	return cmd
}

// dump writes one collection at a time: all of them may not fit in memory.
func dump(ctx context.Context, r *sqlite.Reader, path string, write func(*describe.Collection) error) error {
	owners, err := r.Owners(ctx)
	if err != nil {
		return unreadable(fmt.Errorf("cannot read store %s: %w", path, err))
	}
	damaged := false
	for _, owner := range owners {
		var c *describe.Collection
		record, err := r.Load(ctx, owner)
		switch {
		case err == nil:
			c = describe.New(owner, record)
		case sqlite.Damaged(err):
			damaged = true
			c = describe.Unreadable(owner, err)
		default:
			return unreadable(fmt.Errorf("cannot read store %s: %w", path, err))
		}
		if err := write(c); err != nil {
			return failure{fmt.Errorf("cannot print: %w", err), exitUnchecked}
		}
	}
	if damaged {
		return failure{fmt.Errorf("store %s is damaged", path), exitDamaged}
	}
	return nil
}
