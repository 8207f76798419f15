package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kcmd.org/kcmd/ccstore/sqlite"
)

// newRekey returns the command that changes the key of a database.
func newRekey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "encrypt the database with another key",
		Long: `kcmd rekey encrypts the tickets in the configured database with another key, or
decrypts them with --plain. The present key is the configured one
(encryption_key). Stop kcmd first; change encryption_key before you start it
again. If kcmd rekey was interrupted, run it again.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := newKey(cmd.Flags())
			if err != nil {
				return badCommandLine(cmd, "%w", err)
			}
			c, err := readConfig(cmd.Flags())
			if err != nil {
				return fmt.Errorf("cannot read the configuration: %w", err)
			}
			if err := harden(); err != nil {
				return err
			}
			return rekey(cmd.Context(), c, to, cmd.OutOrStdout())
		},
	}
	setUsage(cmd, func(*cobra.Command) string { return "kcmd rekey --new-key KEY | --plain [options]\n" })
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("new-key", "", "encrypt with this `KEY`: name of a systemd credential, or a file")
	flags.Bool("plain", false, "decrypt")
	addFlags(flags, "store", "encryption_key")
	return cmd
}

// newKey returns the name of the new key, "" for no key.
func newKey(flags *pflag.FlagSet) (string, error) {
	name, _ := flags.GetString("new-key")
	plain, _ := flags.GetBool("plain")
	switch {
	case flags.Changed("new-key") == plain:
		return "", errors.New("give either --new-key or --plain")
	case plain:
		return "", nil
	case !isKey(name):
		return "", fmt.Errorf("--new-key: %q is not allowed; allowed: %s", name, keyAllowed)
	}
	return name, nil
}

// rekey encrypts the database of c with the key named to.
func rekey(ctx context.Context, c *config, to string, stdout io.Writer) error {
	path, ok := strings.CutPrefix(c.store, sqliteStore)
	if !ok {
		return fmt.Errorf("cannot change the key of store %s, which is not a database; allowed: sqlite:PATH", c.store)
	}
	oldKey, err := loadKey(c.encryptionKey)
	if err != nil {
		return err
	}
	defer clear(oldKey)
	key, err := loadKey(to)
	if err != nil {
		return err
	}
	defer clear(key)
	done, err := sqlite.Rekey(ctx, path, oldKey, key)
	if err != nil {
		return keyHint(err, c.encryptionKey)
	}
	if done == (sqlite.Resealed{}) {
		fmt.Fprintf(stdout, "%s: nothing to change\n", path)
	} else {
		fmt.Fprintf(stdout, "%s: changed %d credentials\n", path, done.Credentials)
	}
	if done.Quarantined > 0 {
		fmt.Fprintf(stdout, "%s: quarantined %d credentials, which do not decrypt with the present key\n", path, done.Quarantined)
	}
	fmt.Fprintf(stdout, "now set encryption_key = %q\n", to)
	return nil
}
