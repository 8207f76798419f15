package ccache

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// MatchFlags says which parts of a match credential count, in the numbering of
// the KCM protocol. Bits that are not listed here ask for something of a daemon
// that talks to a KDC itself, and mean nothing to one that does not.
type MatchFlags uint32

// The match flags of the KCM protocol (MIT kcm.h, KCM_TC_*).
const (
	MatchIsSKey         MatchFlags = 1 << 22 // is_skey as in the match credential, else it must be unset
	MatchSecondTicket   MatchFlags = 1 << 23 // second tickets are equal
	MatchAuthData       MatchFlags = 1 << 24 // authorization data are equal
	MatchTimes          MatchFlags = 1 << 25 // ends and is renewable at least as late
	MatchTimesExact     MatchFlags = 1 << 26 // all four times are equal
	MatchTicketFlags    MatchFlags = 1 << 27 // has at least these ticket flags
	MatchFlagsExact     MatchFlags = 1 << 28 // has exactly these ticket flags
	MatchServerNameOnly MatchFlags = 1 << 29 // the server's realm does not count
	MatchKeyType        MatchFlags = 1 << 30 // encryption types of the session keys are equal
	MatchNoRealm        MatchFlags = 1 << 31 // no realm counts (Heimdal's DONT_MATCH_REALM)
)

// mitFlags gives libkrb5's own numbering (krb5.h, KRB5_TC_*), which clients up
// to 1.19 put into REMOVE_CRED as it is.
var mitFlags = []struct {
	mit  uint32
	flag MatchFlags
}{
	{0x001, MatchTimes},
	{0x002, MatchIsSKey},
	{0x004, MatchTicketFlags},
	{0x008, MatchTimesExact},
	{0x010, MatchFlagsExact},
	{0x020, MatchAuthData},
	{0x040, MatchServerNameOnly},
	{0x080, MatchSecondTicket},
	{0x100, MatchKeyType},
}

// MITMatchFlags translates a flag word in libkrb5's own numbering.
func MITMatchFlags(mit uint32) MatchFlags {
	var f MatchFlags
	for _, m := range mitFlags {
		if mit&m.mit != 0 {
			f |= m.flag
		}
	}
	return f
}

// A Match describes the credentials that a client looks for. Nil principals
// match any.
type Match struct {
	Flags        MatchFlags
	Client       *Principal
	Server       *Principal
	KeyType      int16
	AuthTime     uint32
	StartTime    uint32
	EndTime      uint32
	RenewTill    uint32
	IsSKey       bool
	TicketFlags  TicketFlags
	AuthData     []AuthData
	SecondTicket []byte
}

// Bits of the header word of a match credential: which optional parts follow.
const (
	headerClient       = 0x01
	headerServer       = 0x02
	headerKey          = 0x04
	headerTicket       = 0x08
	headerSecondTicket = 0x10
	headerAuthData     = 0x20
	headerAddresses    = 0x40
)

// Match reads a match credential; flags are those that came with it.
func (d *Decoder) Match(field string, flags MatchFlags) *Match {
	d.scope = field
	header := d.Uint32("header")
	// One allocation for all three: every RETRIEVE makes one.
	m := &struct {
		Match
		client, server Principal
	}{Match: Match{Flags: flags}}
	if header&headerClient != 0 {
		m.client = d.Principal("client")
		m.Client = &m.client
	}
	if header&headerServer != 0 {
		m.server = d.Principal("server")
		m.Server = &m.server
	}
	if header&headerKey != 0 {
		m.KeyType = d.key().Type
	}
	m.AuthTime = d.Uint32("authtime")
	m.StartTime = d.Uint32("starttime")
	m.EndTime = d.Uint32("endtime")
	m.RenewTill = d.Uint32("renew_till")
	m.IsSKey = d.Uint8("is_skey") != 0
	m.TicketFlags = TicketFlags(d.Uint32("flags"))
	// The optional parts do not come in the order of their bits. Addresses and
	// the ticket itself are never compared.
	if header&headerAddresses != 0 {
		d.addresses()
	}
	if header&headerAuthData != 0 {
		m.AuthData = d.authData()
	}
	if header&headerTicket != 0 {
		d.Data("ticket")
	}
	if header&headerSecondTicket != 0 {
		m.SecondTicket = d.Data("second ticket")
	}
	d.scope = ""
	if d.err != nil {
		return nil
	}
	return &m.Match
}

// Append appends m as a match credential to b, without its flags.
func (m *Match) Append(b []byte) []byte {
	var header uint32
	if m.Client != nil {
		header |= headerClient
	}
	if m.Server != nil {
		header |= headerServer
	}
	if m.KeyType != 0 {
		header |= headerKey
	}
	if m.AuthData != nil {
		header |= headerAuthData
	}
	if m.SecondTicket != nil {
		header |= headerSecondTicket
	}
	b = binary.BigEndian.AppendUint32(b, header)
	if m.Client != nil {
		b = m.Client.Append(b)
	}
	if m.Server != nil {
		b = m.Server.Append(b)
	}
	if m.KeyType != 0 {
		b = binary.BigEndian.AppendUint16(b, uint16(m.KeyType))
		b = appendData(b, "")
	}
	b = binary.BigEndian.AppendUint32(b, m.AuthTime)
	b = binary.BigEndian.AppendUint32(b, m.StartTime)
	b = binary.BigEndian.AppendUint32(b, m.EndTime)
	b = binary.BigEndian.AppendUint32(b, m.RenewTill)
	isSKey := uint8(0)
	if m.IsSKey {
		isSKey = 1
	}
	b = append(b, isSKey)
	b = binary.BigEndian.AppendUint32(b, uint32(m.TicketFlags))
	if m.AuthData != nil {
		b = appendAuthData(b, m.AuthData)
	}
	if m.SecondTicket != nil {
		b = appendData(b, m.SecondTicket)
	}
	return b
}

// AnyServerRealm reports whether the realm of m's server does not count.
func (m *Match) AnyServerRealm() bool {
	return m.Flags&(MatchServerNameOnly|MatchNoRealm) != 0
}

// Matches reports whether m describes c, by the rules of libkrb5
// (krb5int_cc_creds_match_request) but for is_skey, which libkrb5 stores as 8
// and asks for as 1: here any value but 0 is the same.
func (m *Match) Matches(c *Credential) bool {
	has := func(f MatchFlags) bool { return m.Flags&f != 0 }
	wantSKey := has(MatchIsSKey) && m.IsSKey
	return m.matchesClient(c) && m.matchesServer(c) &&
		(c.IsSKey != 0) == wantSKey &&
		(!has(MatchTicketFlags) || c.Flags&m.TicketFlags == m.TicketFlags) &&
		(!has(MatchFlagsExact) || c.Flags == m.TicketFlags) &&
		(!has(MatchTimesExact) || m.equalTimes(c)) &&
		(!has(MatchTimes) || m.lastsAsLong(c)) &&
		(!has(MatchAuthData) || equalAuthData(m.AuthData, c.AuthData)) &&
		(!has(MatchSecondTicket) || bytes.Equal(m.SecondTicket, c.SecondTicket)) &&
		(!has(MatchKeyType) || m.KeyType == c.Key.Type)
}

func (m *Match) matchesClient(c *Credential) bool {
	switch {
	case m.Client == nil:
		return true
	case m.Flags&MatchNoRealm != 0:
		return m.Client.EqualName(c.Client)
	default:
		return m.Client.Equal(c.Client)
	}
}

func (m *Match) matchesServer(c *Credential) bool {
	switch {
	case m.Server == nil:
		return true
	case m.AnyServerRealm():
		return m.Server.EqualName(c.Server)
	default:
		return m.Server.Equal(c.Server)
	}
}

func (m *Match) equalTimes(c *Credential) bool {
	return m.AuthTime == c.AuthTime && m.StartTime == c.StartTime &&
		m.EndTime == c.EndTime && m.RenewTill == c.RenewTill
}

func (m *Match) lastsAsLong(c *Credential) bool {
	return c.RenewTill >= m.RenewTill && c.EndTime >= m.EndTime
}

func equalAuthData(a, b []AuthData) bool {
	return slices.EqualFunc(a, b, func(x, y AuthData) bool {
		return x.Type == y.Type && bytes.Equal(x.Data, y.Data)
	})
}

// Replaces reports whether storing c makes the stored credential old pointless:
// c is the same ticket again (same client, server, second ticket, authorization
// data, is_skey and encryption type), or the same configuration entry.
func (c *Credential) Replaces(old *Credential) bool {
	if c.IsConfig() {
		return old.IsConfig() && c.Server.Equal(old.Server)
	}
	return c.Client.Equal(old.Client) && c.Server.Equal(old.Server) &&
		bytes.Equal(c.SecondTicket, old.SecondTicket) &&
		equalAuthData(c.AuthData, old.AuthData) &&
		(c.IsSKey != 0) == (old.IsSKey != 0) && c.Key.Type == old.Key.Type
}
