package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
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

// makeTicket makes a credential with a ticket of so many bytes, all of them
// different each time.
func makeTicket(r *rand.Rand, client, server ccache.Principal, size int, life time.Duration) []byte {
	now := time.Now()
	c := ccache.Credential{
		Client:    client,
		Server:    server,
		Key:       ccache.Key{Type: 18, Value: noise(r, 32)},
		AuthTime:  uint32(now.Unix()),
		StartTime: uint32(now.Unix()),
		EndTime:   uint32(now.Add(life).Unix()),
		Ticket:    noise(r, size),
	}
	return c.Append(nil)
}

// noise returns n random bytes.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// matchServer asks for the credential for a server, as an argument.
func matchServer(server ccache.Principal) []byte {
	m := ccache.Match{Server: &server}
	return m.Append(make([]byte, 4)) // no flags
}

// credentialList is a count and credentials, each behind its length.
func credentialList(creds [][]byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(creds)))
	for _, c := range creds {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	return b
}

// readCredentials reads what credentialList writes.
func readCredentials(b []byte) ([]credential, error) {
	var list []credential
	d := kcm.NewDecoder(b)
	for _, c := range d.CredentialList() {
		list = append(list, credential{c.Server.String(), c.Bytes()})
	}
	return list, d.Err()
}
