// Package kcm encodes and decodes the KCM protocol: opcodes, error codes,
// frames, the arguments of requests, and the data of replies. Package
// kcm/client sends requests.
//
// It imports only ccstore/ccache, for principals and credentials.
//
// Files, in the order in which to read them: opcode.go, code.go (error codes), frame.go
// (requests and replies), args.go (arguments and data).
//
// All integers are big-endian. A request is
//
//	length of what follows   uint32
//	major version            uint8   2
//	minor version            uint8   0
//	opcode                   uint16
//	arguments
//
// and a reply is
//
//	length of what follows the outer status   uint32
//	outer status                              uint32   always 0, see AppendReply
//	code                                      int32    0 or what went wrong
//	data                                               only if the code is 0
//
// References: kcm.h and cc_kcm.c of MIT krb5, kcm/protocol.c of Heimdal.
package kcm
