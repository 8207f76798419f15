// Package transfer copies whole collections of caches from one place to another: KCM
// servers, FILE caches, DIR and KEYRING collections.
//
// It imports ccstore/ccfile, ccstore/cckeyring and ccstore/ccsssd for the places, kcmserver/kcm/client
// for KCM servers, and ccstore/ccache for what they have in common. cmd/kcmctl and its render import it.
//
// It writes to kcmd through the KCM protocol, as the user whose caches they are. REPLACE
// stores a cache in one step with its KDC offset and all its credentials, byte by byte
// and in order; the D-Bus interface hands out no session keys, and takes none.
//
// Files, in the order in which to read them: collection.go (what a place can do, and its
// name), file.go, dir.go, keyring.go, kcm.go and sssd.go (the places), transfer.go (copies), result.go
// (reports), user.go (acts as another user).
package transfer
