package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

// These are the tickets that the driver makes, for who sends frames. Both must
// make the same, for the echo to exchange as many bytes as the others.

// missing is the number of a service that no cache has a ticket for.
const missing = 900_000

var alice = ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"alice"}}

// service is the service of that number. All names have one length.
func service(n int) ccache.Principal {
	return ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"host", fmt.Sprintf("n%06d.kcmd.test", n)}}
}

// began is when tickets were issued: one made twice is the same one.
var began = uint32(time.Now().Unix())

// ticket is alice's ticket for a service. size is that of the ticket itself,
// without what is said about it.
func ticket(n, size int) *ccache.Credential {
	return &ccache.Credential{
		Client:    alice,
		Server:    service(n),
		Key:       ccache.Key{Type: 18, Value: make([]byte, 32)},
		AuthTime:  began,
		StartTime: began,
		EndTime:   began + 8*3600,
		Flags:     ccache.FlagForwardable,
		Ticket:    make([]byte, size),
	}
}

// lookUp are the arguments with which libkrb5 looks for a ticket: only here, and
// one that is valid.
func lookUp(cache string, n int) []byte {
	args := kcm.AppendName(nil, cache)
	args = binary.BigEndian.AppendUint32(args, 1|uint32(ccache.MatchTimes))
	server := service(n)
	m := ccache.Match{Client: &alice, Server: &server, EndTime: began}
	return m.Append(args)
}

func storeArgs(cache string, n, size int) []byte {
	return ticket(n, size).Append(kcm.AppendName(nil, cache))
}

// replaceArgs gives a cache n tickets at once.
func replaceArgs(cache string, n, size int) []byte {
	args := binary.BigEndian.AppendUint32(kcm.AppendName(nil, cache), 0)
	args = alice.Append(args)
	args = binary.BigEndian.AppendUint32(args, uint32(n))
	for i := range n {
		b := ticket(i, size).Append(nil)
		args = binary.BigEndian.AppendUint32(args, uint32(len(b)))
		args = append(args, b...)
	}
	return args
}

// An exchange is how many bytes go to a KCM server and come back, lengths and
// headers included.
type exchange struct{ request, reply int }

// exchangeOf returns what the main request of a step takes. There is none for
// steps that are several of a kind, or that connect.
func exchangeOf(step string, tickets, size int) (exchange, bool) {
	one := len(ticket(0, size).Append(nil))
	request, reply := 0, 0
	switch step {
	case "principal":
		request, reply = len(kcm.AppendName(nil, kcmCache)), len(alice.Append(nil))
	case "retrieve":
		request, reply = len(lookUp(kcmCache, 0)), one
	case "miss":
		request = len(lookUp(kcmCache, missing))
	case "iterate":
		request, reply = len(kcm.AppendName(nil, kcmCache)), 4+tickets*(4+one)
	case "store":
		request = len(storeArgs(kcmCache, 0, size))
	case "remove":
		request = len(lookUp(kcmCache, 0))
	case "initialize":
		request = len(alice.Append(kcm.AppendName(nil, kcmCache)))
	case "replace":
		request = len(replaceArgs(kcmCache, 3, size))
	case "switch", "destroy":
		request = len(kcm.AppendName(nil, kcmCache))
	default:
		return exchange{}, false
	}
	const requestHeader = 8
	return exchange{requestHeader + request, kcm.ReplyHeaderLen + reply}, true
}
