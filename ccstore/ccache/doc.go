// Package ccache holds the parts of a credential cache: principals, credentials,
// ticket flags, match credentials, and their version 4 marshalling, which the KCM
// protocol, FILE caches and kernel keyrings share; and their whole, Contents.
//
// It is a leaf and imports nothing of kcmd.
//
// Read its files in this order: principal.go, credential.go, flags.go, enctype.go,
// time.go (the states of a ticket), match.go, hash.go (for indexes), contents.go,
// decode.go, wipe.go.
//
// Strings of the protocol (realms, components) are bytes: they may hold NUL,
// '/', '@' or invalid UTF-8 and are kept as they came.
//
// References:
//
//	RFC 4120  The Kerberos Network Authentication Service (V5)
//	MIT krb5 documentation, "Credential cache file format"
package ccache
