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

// Exit statuses of the commands that read a store, besides 0.
const (
	exitDamaged   = 1 // the store is damaged
	exitUnchecked = 2 // the store could not be checked
)

// A failure is an error with an exit status.
type failure struct {
	error
	status int
}

func (f failure) Unwrap() error { return f.error }

// exitStatus returns the exit status of the program for an error, 0 for nil.
func exitStatus(err error) int {
	if f := (failure{}); errors.As(err, &f) {
		return f.status
	}
	if err == nil {
		return 0
	}
	return 1
}

// An inspection reads a store and prints what it finds.
type inspection func(ctx context.Context, r *sqlite.Reader, path string, out io.Writer) error

// newInspector makes cmd run inspect on the store that its argument or the
// configuration names.
func newInspector(cmd *cobra.Command, inspect inspection) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return failure{badCommandLine(cmd, "unexpected argument %s; allowed: options and one STORE", quoted(args[1])), exitUnchecked}
		}
		return nil
	}
	cmd.RunE = inspect.run
	setUsage(cmd, func(cmd *cobra.Command) string { return cmd.UseLine() + "\n" })
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failure{badCommandLine(cmd, "%w", flagError(err)), exitUnchecked}
	})
	cmd.DisableFlagsInUseLine = true
	addFlags(cmd.Flags(), "store", "encryption_key")
	return cmd
}

// run runs the inspection for a command.
func (inspect inspection) run(cmd *cobra.Command, args []string) error {
	if err := harden(); err != nil { // tickets are decrypted in memory
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
		// The rest of the store is still readable.
		fmt.Fprintf(cmd.ErrOrStderr(), "kcmd: %s; encrypted tickets are not read\n", oneLine(err))
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
		return failure{fmt.Errorf("cannot check store %s: %w", path, e), exitUnchecked}
	}
	return err
}

// storePath returns the path of the database to read.
func storePath(c *config, args []string) (string, error) {
	store := c.store
	if len(args) > 0 {
		store = args[0]
	}
	if store == memoryStore {
		return "", errors.New("cannot read store memory:, which is in the memory of its daemon; allowed: sqlite:PATH or PATH")
	}
	if name, ok := strings.CutPrefix(store, keyringStore); ok {
		return "", fmt.Errorf("cannot read store %s, which is no database; klist reads it as %s", store, shownKeyring(name))
	}
	path, ok := absolute(strings.TrimPrefix(store, sqliteStore))
	if !ok || len(path) > sqlite.MaxPath {
		return "", fmt.Errorf("store %s is not allowed; allowed: sqlite:PATH or PATH, of at most %d bytes without control characters", quoted(store), sqlite.MaxPath)
	}
	return path, nil
}

// unreadable adds the exit status to the error for a store that is damaged or that
// cannot be read.
func unreadable(err error) error {
	if sqlite.Damaged(err) {
		return failure{err, exitDamaged}
	}
	return failure{err, exitUnchecked}
}
