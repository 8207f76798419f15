package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/safetext"
)

// newCheck returns the command that verifies a store.
func newCheck() *cobra.Command {
	return newInspector(&cobra.Command{
		Use:   "check [options] [STORE]",
		Short: "verify the structure and the contents of a store",
		Long: `kcmd check verifies the configured database, or STORE: its structure and all
entries. It changes nothing and works while a daemon uses the database.

Exit status: 0 if the store is intact; 1 if it is damaged; 2 if it cannot be
checked.`,
	}, check)
}

// A checker counts entries and faults.
type checker struct {
	out                 io.Writer
	wrong, quarantined  int
	owners, readable    int
	caches, credentials int // readable
	sealed              int // credentials that cannot be decrypted without the key
}

// check verifies a store and prints all faults.
func check(ctx context.Context, r *sqlite.Reader, path string, out io.Writer) error {
	c := &checker{out: out}
	fmt.Fprintf(out, "store %s, version %d\n", path, r.Version())
	findings, err := r.Check(ctx)
	if err != nil {
		return failure{fmt.Errorf("cannot check store %s: %w", path, err), exitUnchecked}
	}
	for _, finding := range findings {
		c.damage("database: " + finding)
	}
	if err := c.collections(ctx, r); err != nil {
		return failure{fmt.Errorf("cannot check store %s: %w", path, err), exitUnchecked}
	}
	fmt.Fprintf(out, "%d of %d collections can be read, with %d caches and %d credentials; %d entries are quarantined\n",
		c.readable, c.owners, c.caches, c.credentials, c.quarantined)
	if c.sealed > 0 {
		fmt.Fprintf(out, "%d credentials were not decrypted, only their checksums are verified: %v\n", c.sealed, sqlite.ErrNoKey)
	}
	if c.wrong > 0 {
		return failure{fmt.Errorf("store %s is damaged", path), exitDamaged}
	}
	return nil
}

// collections verifies the collection of each owner.
func (c *checker) collections(ctx context.Context, r *sqlite.Reader) error {
	owners, err := r.Owners(ctx)
	if sqlite.Damaged(err) {
		c.damage("the collections: " + err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	c.owners = len(owners)
	for _, owner := range owners {
		record, err := r.Load(ctx, owner)
		if sqlite.Damaged(err) {
			c.damage(fmt.Sprintf("collection of %s: %v", owner, err))
			continue
		}
		if err != nil {
			return err
		}
		c.collection(owner, record)
	}
	return nil
}

func (c *checker) collection(owner ccstore.Owner, r *ccstore.Record) {
	c.readable++
	sealed := false
	for _, cache := range r.Caches {
		if cache.Quarantined != "" {
			c.addQuarantined(fmt.Sprintf("collection of %s: cache %s: %s", owner, cache.UUID, cache.Quarantined))
			continue
		}
		c.caches++
	}
	for _, cred := range r.Credentials {
		if cred.Quarantined != "" {
			c.addQuarantined(fmt.Sprintf("collection of %s: credential %s: %s", owner, cred.UUID, cred.Quarantined))
			continue
		}
		c.credentials++
		if errors.Is(cred.Err, sqlite.ErrNoKey) {
			sealed = true
			c.sealed++
		}
	}
	if sealed {
		return // the other checks compare decrypted credentials
	}
	for _, err := range ccstore.CheckRecord(owner, r) {
		c.damage(fmt.Sprintf("collection of %s: %v", owner, err))
	}
}

func (c *checker) damage(what string) {
	c.wrong++
	fmt.Fprintln(c.out, "damaged:", safetext.Escape(what))
}

func (c *checker) addQuarantined(what string) {
	c.quarantined++
	fmt.Fprintln(c.out, "quarantined:", safetext.Escape(what))
}
