package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/ccstore/sqlite"
)

// What the commands that look at a store exit with, besides 0.
const (
	exitDamaged   = 1 // something is wrong with it
	exitUnchecked = 2 // nobody can tell
)

// A failure ends the program with a status of its own.
type failure struct {
	error
	status int
}

func (f failure) Unwrap() error { return f.error }

// exitStatus returns what the program exits with after an error.
func exitStatus(err error) int {
	if f := (failure{}); errors.As(err, &f) {
		return f.status
	}
	if err == nil {
		return 0
	}
	return 1
}

// newInspector returns a command that looks at the store that its argument or
// the configuration names.
func newInspector(cmd *cobra.Command, inspect func(ctx context.Context, r *sqlite.Reader, path string, out io.Writer) error) *cobra.Command {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return failure{fmt.Errorf("cannot read the command line: unexpected argument %s; allowed: options and one STORE; see kcmd %s --help", quoted(args[1]), cmd.Name()), exitUnchecked}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := harden(); err != nil { // tickets go through the memory
			return err
		}
		c, err := readConfig(cmd.Flags())
		if err != nil {
			return failure{fmt.Errorf("cannot read the configuration: %w", err), exitUnchecked}
		}
		path, err := storePath(c, args)
		if err != nil {
			return failure{err, exitUnchecked}
		}
		key, err := loadKey(c.encryptionKey)
		if err != nil {
			// Much can be told without.
			fmt.Fprintf(cmd.ErrOrStderr(), "kcmd: %s; what is encrypted is not read\n", oneLine(err))
		}
		defer clear(key)
		r, err := sqlite.OpenReader(cmd.Context(), path, key)
		if err != nil {
			return unreadable(err)
		}
		out := bufio.NewWriter(cmd.OutOrStdout())
		err = inspect(cmd.Context(), r, path, out)
		if e := out.Flush(); e != nil {
			return failure{fmt.Errorf("cannot print: %w", e), exitUnchecked}
		}
		if e := r.Close(); e != nil {
			return failure{fmt.Errorf("cannot tell about store %s: %w", path, e), exitUnchecked}
		}
		return err
	}
	cmd.SetUsageTemplate("Usage: {{.UseLine}}\n\nOptions:\n{{.LocalFlags.FlagUsages}}")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failure{fmt.Errorf("cannot read the command line: %w; see kcmd %s --help", flagError(err), cmd.Name()), exitUnchecked}
	})
	cmd.DisableFlagsInUseLine = true
	addFlags(cmd.Flags(), "store", "encryption_key")
	return cmd
}

// storePath returns the path of the database to look at.
func storePath(c *config, args []string) (string, error) {
	store := c.store
	if len(args) > 0 {
		store = args[0]
	}
	if store == memoryStore {
		return "", errors.New("cannot look into store memory:, which only its daemon can")
	}
	path, ok := absolute(strings.TrimPrefix(store, sqliteStore))
	if !ok || len(path) > sqlite.MaxPath {
		return "", fmt.Errorf("store %s is not allowed; allowed: sqlite:PATH or PATH, of at most %d bytes without control characters", quoted(store), sqlite.MaxPath)
	}
	return path, nil
}

// unreadable tells a store that is damaged from one that cannot be looked at.
func unreadable(err error) error {
	if sqlite.Damaged(err) {
		return failure{err, exitDamaged}
	}
	return failure{err, exitUnchecked}
}
