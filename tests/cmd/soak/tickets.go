package main

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/tests/lab"
)

// person returns a principal of the realm.
func person(name string) ccache.Principal {
	return ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{name}}
}

// service returns a host's principal.
func service(host string) ccache.Principal {
	return ccache.Principal{NameType: 3, Realm: lab.RealmName, Components: []string{"host", host}}
}

// tgs returns the principal of the ticket-granting service.
func tgs() ccache.Principal {
	return ccache.Principal{NameType: 2, Realm: lab.RealmName, Components: []string{"krbtgt", lab.RealmName}}
}

// setting returns the server of a configuration entry.
func setting(key string) ccache.Principal {
	return ccache.Principal{Realm: "X-CACHECONF:", Components: []string{"krb5_ccache_conf_data", key}}
}

// longLife is that of tickets that do not expire in a soak.
const longLife = 30 * 24 * time.Hour

// makeTicket returns a credential with a ticket of so many random bytes.
func makeTicket(r *rand.Rand, client, server ccache.Principal, size int, life time.Duration) *ccache.Credential {
	now := time.Now()
	return &ccache.Credential{
		Client:    client,
		Server:    server,
		Key:       ccache.Key{Type: 18, Value: noise(r, 32)},
		AuthTime:  uint32(now.Unix()),
		StartTime: uint32(now.Unix()),
		EndTime:   uint32(now.Add(life).Unix()),
		Ticket:    noise(r, size),
	}
}

// noise returns n random bytes.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// to matches the credential for a server.
func to(server ccache.Principal) *ccache.Match { return &ccache.Match{Server: &server} }

// same reports whether two credentials are equal, byte by byte.
func same(a, b *ccache.Credential) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }
