package ccache

import (
	"bytes"
	"encoding/binary"
)

// A Credential is a ticket with its session key and what the KDC said of both,
// or a configuration entry in the shape of one (see IsConfig).
//
// Times are of the KDC's clock, in seconds since 1970 in 32 unsigned bits; 0 is
// not set. See time.go for what they mean. A credential does not change once it is
// decoded.
type Credential struct {
	Client       Principal
	Server       Principal
	Key          Key
	AuthTime     uint32
	StartTime    uint32
	EndTime      uint32
	RenewTill    uint32
	IsSKey       uint8 // not 0: encrypted in another session key (user-to-user)
	Flags        TicketFlags
	Addresses    []Address
	AuthData     []AuthData
	Ticket       []byte
	SecondTicket []byte

	raw  []byte // what it was decoded from
	body int    // where in raw the principals end
}

// A Key is a session key. It is a secret.
type Key struct {
	Type  int16 // encryption type, RFC 3961
	Value []byte
}

// String hides the key, so that no log ever shows it.
func (Key) String() string { return "(session key)" }

// GoString hides the key as String does.
func (k Key) GoString() string { return k.String() }

// MaxEntries bounds the addresses, and the authorization data, of a credential
// that a Decoder accepts.
const MaxEntries = 1024

// An Address is a host address to which a ticket is bound (RFC 4120, 7.5.3).
type Address struct {
	Type uint16
	Data []byte
}

// AuthData is one element of authorization data (RFC 4120, 7.5.4).
type AuthData struct {
	Type int16
	Data []byte
}

// Credential reads a credential.
func (d *Decoder) Credential(field string) *Credential {
	d.scope = field
	start := d.off
	c := &Credential{Client: d.Principal("client"), Server: d.Principal("server")}
	c.body = d.off - start
	d.credentialBody(c)
	d.scope = ""
	if d.err != nil {
		return nil
	}
	c.raw = d.in[start:d.off:d.off]
	return c
}

// credentialBody reads what follows the principals.
func (d *Decoder) credentialBody(c *Credential) {
	c.Key = d.key()
	c.AuthTime = d.Uint32("authtime")
	c.StartTime = d.Uint32("starttime")
	c.EndTime = d.Uint32("endtime")
	c.RenewTill = d.Uint32("renew_till")
	c.IsSKey = d.Uint8("is_skey")
	c.Flags = TicketFlags(d.Uint32("flags"))
	c.Addresses = d.addresses()
	c.AuthData = d.authData()
	c.Ticket = d.Data("ticket")
	c.SecondTicket = d.Data("second ticket")
}

// Clone returns a copy of c that shares no bytes with it, only the names, which
// are strings. The bytes are overwritten once nothing refers to them. It fails if c
// was not decoded and cannot be marshalled.
func (c *Credential) Clone() (*Credential, error) {
	raw := bytes.Clone(c.Bytes())
	WipeWhenUnused(raw)
	if c.raw == nil {
		return ParseCredential(raw)
	}
	clone := *c
	clone.raw = raw
	d := Decoder{in: clone.raw, off: c.body}
	d.credentialBody(&clone)
	return &clone, d.err
}

// Bytes returns the marshalled credential: the very bytes that it was decoded
// from, if it was, so that what a client stored goes back to it unchanged.
func (c *Credential) Bytes() []byte {
	if c.raw != nil {
		return c.raw
	}
	return c.Append(nil)
}

func (d *Decoder) key() Key {
	return Key{Type: int16(d.Uint16("key type")), Value: d.Data("key")}
}

func (d *Decoder) addresses() []Address {
	n := d.count("addresses", 6, MaxEntries)
	if n == 0 {
		return nil
	}
	list := make([]Address, n)
	for i := range list {
		list[i] = Address{Type: d.Uint16("address type"), Data: d.Data("address")}
	}
	return list
}

func (d *Decoder) authData() []AuthData {
	n := d.count("authdata", 6, MaxEntries)
	if n == 0 {
		return nil
	}
	list := make([]AuthData, n)
	for i := range list {
		list[i] = AuthData{Type: int16(d.Uint16("authdata type")), Data: d.Data("authdata")}
	}
	return list
}

// ParseCredential decodes a credential that fills b. The result aliases b.
func ParseCredential(b []byte) (*Credential, error) {
	d := NewDecoder(b)
	c := d.Credential("credential")
	if n := len(d.Rest()); n > 0 {
		d.Fail("credential", "%d bytes too many", n)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Append appends the marshalled credential to b.
func (c *Credential) Append(b []byte) []byte {
	b = c.Client.Append(b)
	b = c.Server.Append(b)
	b = binary.BigEndian.AppendUint16(b, uint16(c.Key.Type))
	b = appendData(b, c.Key.Value)
	b = binary.BigEndian.AppendUint32(b, c.AuthTime)
	b = binary.BigEndian.AppendUint32(b, c.StartTime)
	b = binary.BigEndian.AppendUint32(b, c.EndTime)
	b = binary.BigEndian.AppendUint32(b, c.RenewTill)
	b = append(b, c.IsSKey)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Flags))
	b = appendAddresses(b, c.Addresses)
	b = appendAuthData(b, c.AuthData)
	b = appendData(b, c.Ticket)
	return appendData(b, c.SecondTicket)
}

func appendAddresses(b []byte, list []Address) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, a := range list {
		b = binary.BigEndian.AppendUint16(b, a.Type)
		b = appendData(b, a.Data)
	}
	return b
}

func appendAuthData(b []byte, list []AuthData) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, a := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Type))
		b = appendData(b, a.Data)
	}
	return b
}

// Realm and first component of the server principal of a configuration entry.
const (
	configRealm = "X-CACHECONF:"
	configName  = "krb5_ccache_conf_data"
)

// proxyRealm is the realm of the server principal of what gssproxy keeps in a cache: the
// encrypted form of its own credential, in one entry without times.
const proxyRealm = "X-GSSPROXY:"

// IsConfig reports whether c is a configuration entry: a setting of the cache, or data
// of gssproxy, kept in the ticket field of something shaped like a credential. It is
// not a ticket, and its times mean nothing.
func (c *Credential) IsConfig() bool {
	switch c.Server.Realm {
	case configRealm:
		return len(c.Server.Components) > 0 && c.Server.Components[0] == configName
	case proxyRealm:
		return len(c.Server.Components) > 0
	}
	return false
}

// ConfigServer returns the server principal of a configuration entry: its name, and the
// server that it is about if there is one.
func ConfigServer(name string, about ...string) Principal {
	return Principal{NameType: 1, Realm: configRealm, Components: append([]string{configName, name}, about...)}
}

// anonymousRealm is the realm of a client that hides its own (RFC 8062, section 3).
const anonymousRealm = "WELLKNOWN:ANONYMOUS"

// IsTGT reports whether c is a ticket-granting ticket for its client's own realm,
// or for any realm where the client hides its own (RFC 8062): krbtgt/R@R.
func (c *Credential) IsTGT() bool {
	s := c.Server
	return len(s.Components) == 2 && s.Components[0] == "krbtgt" && s.Components[1] == s.Realm &&
		(s.Realm == c.Client.Realm || c.Client.Realm == anonymousRealm)
}
