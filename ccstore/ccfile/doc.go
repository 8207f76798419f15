// Package ccfile reads and writes the FILE and DIR credential caches of libkrb5: files
// of the versions 1 to 4, and directories of them. It writes version 4.
//
// It imports ccstore/ccache for the credentials. cmd/kcmctl uses it.
//
// Directories such as /tmp have files of everyone. Open reads a file only if it is a
// regular one of the calling user, without other links to it, that nobody else can
// write to; it follows no link and waits for nothing.
//
// Files, in the order in which to read them: parse.go and format.go (the bytes of a
// file), old.go (its versions 1 to 3), open.go (reads and removes a file), write.go,
// dir.go (directories).
//
// References:
//
//	MIT krb5 documentation, "Credential cache file format"
//	MIT krb5 src/lib/krb5/ccache/cc_file.c and cc_dir.c
package ccfile
