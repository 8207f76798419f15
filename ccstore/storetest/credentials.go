package storetest

import (
	"fmt"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Principal makes a principal of a name like "host/a.example@EXAMPLE": the
// parts before the last '@' are components, nothing is escaped.
func Principal(name string) ccache.Principal {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		panic("principal without realm: " + name)
	}
	return ccache.Principal{NameType: 1, Realm: name[at+1:], Components: strings.Split(name[:at], "/")}
}

// Times of the tickets that Ticket makes, in seconds since 1970.
const (
	AuthTime  = 1700000000
	EndTime   = 4000000000
	RenewTill = 4100000000
)

// Ticket makes a ticket of client for server, valid until EndTime. Its session
// key and its ticket are not those of any realm.
func Ticket(client, server string) *ccache.Credential {
	return &ccache.Credential{
		Client:    Principal(client),
		Server:    Principal(server),
		Key:       ccache.Key{Type: 18, Value: []byte(fmt.Sprintf("%-32.32s", "key for "+server))},
		AuthTime:  AuthTime,
		EndTime:   EndTime,
		RenewTill: RenewTill,
		Flags:     ccache.FlagForwardable | ccache.FlagRenewable | ccache.FlagPreAuthenticated,
		Ticket:    []byte("ticket for " + server),
	}
}

// Tickets makes n tickets of client, for host/0, host/1 and so on in its realm.
func Tickets(client string, n int) []*ccache.Credential {
	list := make([]*ccache.Credential, n)
	for i := range list {
		list[i] = Ticket(client, fmt.Sprintf("host/%d@%s", i, Principal(client).Realm))
	}
	return list
}

// TGT makes the ticket-granting ticket of client for its own realm.
func TGT(client string) *ccache.Credential {
	realm := Principal(client).Realm
	c := Ticket(client, "krbtgt/"+realm+"@"+realm)
	c.Flags |= ccache.FlagInitial
	return c
}

// Config makes a configuration entry of a cache of client.
func Config(client, key, value string) *ccache.Credential {
	return &ccache.Credential{
		Client: Principal(client),
		Server: ccache.Principal{NameType: 1, Realm: "X-CACHECONF:", Components: []string{"krb5_ccache_conf_data", key}},
		Ticket: []byte(value),
	}
}

// GSSProxy makes the entry that gssproxy keeps in a cache of client.
func GSSProxy(client, value string) *ccache.Credential {
	return &ccache.Credential{
		Client: Principal(client),
		Server: ccache.Principal{NameType: 1, Realm: "X-GSSPROXY:", Components: []string{"Encrypted", "Credentials", "v1"}},
		Ticket: []byte(value),
	}
}
