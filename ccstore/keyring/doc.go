// Package keyring is a ccstore backend that keeps caches in the keyrings of the kernel, in
// the layout of libkrb5's KEYRING: caches: what a program does with KEYRING:persistent:UID,
// a store over this backend sees, and the other way round.
//
// The layout has no place for some of what a store keeps. The backend remembers it for as
// long as it is open, and derives it for what it does not know, of other programs or from
// before it was opened:
//
//   - A revision counts the changes that the backend made or saw.
//   - UUIDs are those of version 5: of a cache for its name, of a credential for its key.
//   - Caches are ordered by name, and credentials as a login stores them: configuration
//     entries, the TGT, then tickets by their start.
//   - Deadlines follow from tickets. Nobody knows of labels and renewals.
//
// A ticket disappears when it expires, and a cache with its last ticket: the kernel removes
// their keys, as it does for libkrb5.
//
// A name is there once. A new cache therefore displaces a damaged one of that name.
//
// Other programs write the same keyrings and the kernel tells nobody, so that a store asks
// before each use of a collection whether it has changed (Fresh), and the backend looks
// while nobody asks (Watch).
//
// What a keyring is depends on the thread. All calls to the kernel come from one that the
// backend keeps to itself.
//
// It imports ccstore, ccstore/ccache, ccstore/cckeyring and clock. Files, in the order in
// which to read them: backend.go, thread.go, names.go, collection.go (what the backend knows of a
// collection), scan.go (from the kernel to there), commit.go (from there to the kernel),
// watch.go.
package keyring
