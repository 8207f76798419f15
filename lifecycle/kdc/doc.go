// Package kdc has a Kerberos KDC renew, validate, verify and issue tickets, by the helper
// program (package helper), which may use the network and sees one credential at a
// time. The daemon itself may do neither.
//
// It imports ccstore/ccache. A request is one message to the helper's standard
// input, and the reply one from its standard output.
//
// Files, in the order in which to read them: kdc.go (requests and failures),
// message.go (their encoding), client.go (the way to the helper).
package kdc
