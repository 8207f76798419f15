// Package cckeyring reads and writes the KEYRING credential caches of libkrb5: keyrings
// of the kernel (keyrings(7)).
//
// It imports ccstore/ccache for the credentials. cmd/kcmctl and ccstore/keyring use it.
//
// What a keyring is depends on the thread: its effective user, its session, and the
// keyrings that it possesses. All calls for a collection must come from one goroutine
// that is locked to its thread (runtime.LockOSThread).
//
// The layout, below the keyring of an anchor:
//
//	_krb, or _krb_NAME              the collection, a keyring
//	    krb_ccache:primary          the name of the primary cache
//	    SUBSIDIARY                  a cache, a keyring
//	        __krb5_princ__          its principal
//	        __krb5_time_offsets__   the offset of the KDC's clock
//	        krbtgt/R@R              a credential, named after its server
//
// Files, in the order in which to read them: name.go (anchors and names), kernel.go
// (system calls), collection.go (caches of a collection), read.go, write.go,
// batch.go (several changes at once), users.go (who has keyrings).
//
// References:
//
//	MIT krb5 src/lib/krb5/ccache/cc_keyring.c
//	keyrings(7), keyctl(2), add_key(2)
package cckeyring
