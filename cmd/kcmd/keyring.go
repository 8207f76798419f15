package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/cckeyring"
	"kcmd.org/kcmd/ccstore/keyring"
	"kcmd.org/kcmd/clock"
)

// keyringName returns the collection that the store keyring:NAME is. Without a name it is
// the persistent one of the user. That of a thread or a process would be nobody else's.
func keyringName(name string) (cckeyring.Name, error) {
	if name == "" {
		name = string(cckeyring.Persistent) + ":"
	}
	n, err := cckeyring.ParseName(name)
	switch {
	case err != nil:
		return n, err
	case n.Subsidiary != "" || n.Anchor != cckeyring.Persistent && n.Anchor != cckeyring.User && n.Anchor != cckeyring.Session:
		return n, errors.New("not a collection of several processes")
	}
	return n, nil
}

// shownKeyring returns the name of a collection for KRB5CCNAME.
func shownKeyring(name string) string {
	n, err := keyringName(name)
	if err != nil {
		return "KEYRING:"
	}
	return n.String()
}

// keyringOwner is the owner of the caches in the keyrings.
func keyringOwner() ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(os.Geteuid())}
}

// openKeyring opens a collection of the user in the kernel, and says what that cannot
// keep.
func openKeyring(name string, clk clock.Clock, log *slog.Logger) (ccstore.Backend, error) {
	n, err := keyringName(name)
	if err != nil {
		return nil, err
	}
	backend, err := keyring.Open(keyring.Options{
		Collections: map[ccstore.Owner]cckeyring.Name{keyringOwner(): n}, Clock: clk,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("cannot open store keyring:%s: %w; containers often have no keyrings; allowed: sqlite:PATH, memory:", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open store keyring:%s: %w", name, err)
	}
	log.Info("the kernel keeps tickets until they expire, without SELinux labels, and without their order, UUIDs and settings of renewal, which are lost when kcmd ends", "keyring", n.String())
	log.Info("the keys of a user have a quota in the kernel (see keyrings(7)); a change of several caches is not one step for other programs, and a damaged cache is not kept when another one gets its name")
	if !backend.TakesLarge() {
		log.Info("the kernel has no keys of type big_key, so that larger tickets cannot be stored", "bytes", cckeyring.MaxUser)
	}
	return backend, nil
}

// follow keeps the collection in memory: then what other programs do with the keyring
// becomes known without a request, for renewal and signals.
func follow(ctx context.Context, store *ccstore.Store) error {
	if _, err := store.Hold(keyringOwner()); err != nil {
		return err
	}
	_, err := store.Snapshot(ctx, keyringOwner())
	return err
}
