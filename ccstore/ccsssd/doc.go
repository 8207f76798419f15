// Package ccsssd reads the caches of all users from the database of sssd_kcm, usually
// /var/lib/sss/secrets/secrets.ldb.
//
// It imports ccstore/ccache for the credentials. cmd/kcmctl uses it.
//
// The database is an LDB on a TDB: a hash table whose records have a DN as key and
// attributes as data. A cache is one attribute of a record.
//
// Files, in the order in which to read them: secrets.go (caches), record.go (attributes
// of a record), tdb.go (the hash table).
//
// References, as of SSSD 2.8 and 2.14, and of ldb 2.6:
//
//	SSSD src/responder/kcm/kcmsrv_ccache_binary.c and secrets/secrets.c
//	Samba lib/ldb/common/ldb_pack.c and lib/tdb/common/tdb_private.h
package ccsssd
