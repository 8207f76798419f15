// Package ccache holds what a credential cache is made of: principals,
// credentials, ticket flags, match credentials, and their version 4 marshalling,
// which the KCM protocol, FILE caches and kernel keyrings share.
//
// It is a leaf and imports nothing of kcmd's.
//
// Files, in the order in which to read them: principal.go, credential.go,
// flags.go, enctype.go, time.go (of what use a ticket is at a moment), match.go,
// decode.go.
//
// Strings of the protocol (realms, components) are bytes: they may hold NUL,
// '/', '@' or invalid UTF-8 and are kept as they came.
//
// References:
//
//	RFC 4120  The Kerberos Network Authentication Service (V5)
//	MIT krb5 documentation, "Credential cache file format"
package ccache
