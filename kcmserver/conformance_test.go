package kcmserver

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// Names of uid 1000, whom most of these tests play.
const (
	nameD  = "1000"
	nameN  = "1000:cf"
	nameN2 = "1000:cf2"
)

func want[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// testCred is credential A or B of the tests: host/a or host/b of alice.
func testCred(server string) *ccache.Credential {
	return &ccache.Credential{
		Client:    storetest.Principal(alice),
		Server:    storetest.Principal(server),
		Key:       ccache.Key{Type: 18, Value: bytes.Repeat([]byte{7}, 32)},
		AuthTime:  1,
		StartTime: 2,
		EndTime:   3000000000,
		RenewTill: 4000000000,
		Flags:     0x40e10000,
		Ticket:    []byte("ticket of " + server),
	}
}

var (
	credA = testCred("host/a@LAB.TEST")
	credB = testCred("host/b@LAB.TEST")
)

// protocol lists the arguments of each operation as kcm.h of MIT krb5 has them:
// those that kcmd does not support take none here.
var protocol = map[kcm.Opcode][]string{
	kcm.OpNoop:             {},
	kcm.OpGetName:          {"name"},
	kcm.OpResolve:          {"name"},
	kcm.OpGenNew:           {},
	kcm.OpInitialize:       {"name", "principal"},
	kcm.OpDestroy:          {"name"},
	kcm.OpStore:            {"name", "credential"},
	kcm.OpRetrieve:         {"name", "match"},
	kcm.OpGetPrincipal:     {"name"},
	kcm.OpGetCredUUIDList:  {"name"},
	kcm.OpGetCredByUUID:    {"name", "UUID"},
	kcm.OpRemoveCred:       {"name", "match"},
	kcm.OpSetFlags:         {"name", "flags"},
	kcm.OpChown:            {"name", "uid", "gid"},
	kcm.OpChmod:            {"name", "mode"},
	kcm.OpGetInitialTicket: {},
	kcm.OpGetTicket:        {},
	kcm.OpMoveCache:        {"name", "name to"},
	kcm.OpGetCacheUUIDList: {},
	kcm.OpGetCacheByUUID:   {"UUID"},
	kcm.OpGetDefaultCache:  {},
	kcm.OpSetDefaultCache:  {"name"},
	kcm.OpGetKDCOffset:     {"name"},
	kcm.OpSetKDCOffset:     {"name", "KDC offset"},
	kcm.OpAddNTLMCred:      {},
	kcm.OpHaveNTLMCred:     {},
	kcm.OpDelNTLMCred:      {},
	kcm.OpDoNTLMAuth:       {},
	kcm.OpGetNTLMUserList:  {},
	kcm.OpGetCredList:      {"name"},
	kcm.OpReplace:          {"name", "KDC offset", "principal", "credentials"},
}

// TestEveryOpcode holds the op table to the protocol.
func TestEveryOpcode(t *testing.T) {
	got := make(map[kcm.Opcode][]string)
	for opcode, row := range ops {
		got[opcode] = []string{}
		for _, a := range row.args {
			got[opcode] = append(got[opcode], a.name)
		}
		if row.handler == nil || opcode.String()[0] < 'A' {
			t.Errorf("%v: no handler, or no name", opcode)
		}
	}
	want(t, "arguments", protocol, got)
}

// TestCutArguments cuts the arguments of every operation at every byte: the
// request is malformed, and changes nothing.
func TestCutArguments(t *testing.T) {
	samples := map[string][]byte{
		"name": str(nameN), "name to": str(nameN2), "principal": princ(alice), "credential": cred(credB),
		"credentials": append(u32(1), inner(credB)...), "match": server("host/a@LAB.TEST"), "UUID": make([]byte, 16),
		"KDC offset": u32(7), "flags": u32(0), "uid": u32(1000), "gid": u32(1000), "mode": {0o1, 0o200},
	}
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(credA))
	for opcode, row := range ops {
		var args []byte
		for _, a := range row.args {
			args = append(args, samples[a.name]...)
		}
		for n := range args {
			c.ask(kcm.CCFormat, opcode, args[:n])
		}
	}
	want(t, "caches", []string{nameN}, c.names())
	want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN))
	want(t, "KDC offset", u32(0), c.get(kcm.OpGetKDCOffset, str(nameN)))
}

// TestEmptyName has every operation take an empty name for the default cache, as
// Heimdal's clients mean it.
func TestEmptyName(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	empty := str("")
	c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, empty)
	c.do(kcm.OpInitialize, empty, princ(alice))
	want(t, "caches", []string{nameD}, c.names())
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpSetDefaultCache, str(nameN))
	c.do(kcm.OpSetDefaultCache, empty)
	want(t, "default name", nameN, c.defaultName())
	c.do(kcm.OpResolve, empty)
	want(t, "name", nameN, nameIn(t, c.get(kcm.OpGetName, empty)))

	c.do(kcm.OpReplace, empty, u32(0), princ("bob@LAB.TEST"), u32(1), inner(credA))
	c.do(kcm.OpStore, empty, cred(credB))
	c.do(kcm.OpSetKDCOffset, empty, u32(7))
	for _, name := range []string{nameN, ""} {
		want(t, "principal", princ("bob@LAB.TEST"), c.get(kcm.OpGetPrincipal, str(name)))
		want(t, "credentials", [][]byte{cred(credA), cred(credB)}, c.creds(name))
		want(t, "KDC offset", u32(7), c.get(kcm.OpGetKDCOffset, str(name)))
		want(t, "found", cred(credA), c.get(kcm.OpRetrieve, str(name), server("host/a@LAB.TEST")))
		ids := uuids(t, c.get(kcm.OpGetCredUUIDList, str(name)))
		want(t, "credential", cred(credA), c.get(kcm.OpGetCredByUUID, str(name), ids[0][:]))
	}
	c.do(kcm.OpSetFlags, empty, u32(2))
	c.do(kcm.OpChmod, empty, []byte{0o1, 0o200})
	c.do(kcm.OpChown, empty, u32(1000), u32(1000))
	c.do(kcm.OpRemoveCred, empty, server("host/b@LAB.TEST"))
	want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN))

	c.do(kcm.OpMoveCache, empty, str(nameN2))
	want(t, "caches", []string{nameD, nameN2}, c.names())
	c.do(kcm.OpMoveCache, str(nameN2), empty) // as Heimdal's kinit does
	want(t, "caches", []string{nameN, nameD}, c.names())
	c.do(kcm.OpDestroy, empty)
	want(t, "caches", []string{nameD}, c.names())
}

// TestRootReadsDefault has root read "UID" where that user has no cache of that
// name: the user's default cache. Nobody else can, and root cannot change it so.
func TestRootReadsDefault(t *testing.T) {
	s := newServer(t, Options{})
	owner, root, other := connect(t, s, user(1000)), connect(t, s, user(0)), connect(t, s, user(1001))
	owner.do(kcm.OpReplace, str(nameN), u32(7), princ(alice), u32(1), inner(credA))
	root.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD)) // the default cache does not exist
	owner.do(kcm.OpSetDefaultCache, str(nameN))

	want(t, "principal", princ(alice), root.get(kcm.OpGetPrincipal, str(nameD)))
	want(t, "name", nameN, nameIn(t, root.get(kcm.OpGetName, str(nameD))))
	want(t, "credentials", [][]byte{cred(credA)}, root.creds(nameD))
	want(t, "KDC offset", u32(7), root.get(kcm.OpGetKDCOffset, str(nameD)))
	want(t, "found", cred(credA), root.get(kcm.OpRetrieve, str(nameD), server("host/a@LAB.TEST")))
	id := root.get(kcm.OpGetCredUUIDList, str(nameD))
	want(t, "credential", cred(credA), root.get(kcm.OpGetCredByUUID, str(nameD), id))
	root.do(kcm.OpSetFlags, str(nameD), u32(0)) // Heimdal's klist sends it

	for _, c := range []*client{owner, other} {
		c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
		c.ask(kcm.FCCNoFile, kcm.OpGetCredList, str(nameD))
	}
	for _, name := range []string{"1000:", "1000:other", "01000"} {
		root.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(name))
	}
	root.ask(kcm.FCCNoFile, kcm.OpStore, str(nameD), cred(credB))
	root.ask(kcm.FCCNoFile, kcm.OpRemoveCred, str(nameD), server("host/a@LAB.TEST"))
	root.ask(kcm.FCCNoFile, kcm.OpSetKDCOffset, str(nameD), u32(1))
	root.ask(kcm.FCCNoFile, kcm.OpDestroy, str(nameD))
	root.ask(kcm.FCCNoFile, kcm.OpMoveCache, str(nameD), str("0"))
	root.ask(kcm.FCCNoFile, kcm.OpChmod, str(nameD), []byte{0o1, 0o200})
	want(t, "credentials", [][]byte{cred(credA)}, owner.creds(nameN))

	// A cache of that name comes first, and root's own "0" means itself.
	root.do(kcm.OpInitialize, str(nameD), princ("bob@LAB.TEST"))
	want(t, "principal", princ("bob@LAB.TEST"), root.get(kcm.OpGetPrincipal, str(nameD)))
	root.do(kcm.OpInitialize, str("0:x"), princ(alice))
	root.do(kcm.OpSetDefaultCache, str("0:x"))
	root.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str("0"))
}

// TestUnsupported asks for what is not there to be asked for.
func TestUnsupported(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	for _, op := range []kcm.Opcode{15, 16, 24, 25, 26, 27, 28, 29, 13000, 13003, 65535} {
		c.ask(kcm.FCCInternal, op, str(nameN))
	}
	want(t, "default name on the same connection", nameD, c.defaultName())
}

func TestHeimdalOps(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpNoop)
	c.do(kcm.OpResolve, str(nameN))
	for _, op := range []kcm.Opcode{kcm.OpGetName, kcm.OpSetFlags, kcm.OpChmod, kcm.OpChown} {
		c.ask(kcm.FCCNoFile, op, str(nameN), u32(0o600), u32(0))
	}
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	want(t, "name", nameN, nameIn(t, c.get(kcm.OpGetName, str(nameN))))
	c.do(kcm.OpSetFlags, str(nameN), u32(2))
	c.ask(kcm.CCFormat, kcm.OpSetFlags, str(nameN), []byte{0})

	c.do(kcm.OpChmod, str(nameN), []byte{0o1, 0o200})
	for _, mode := range []uint16{0o644, 0o660, 0o601, 0o777, 0o400, 0} {
		c.ask(kcm.FCCPerm, kcm.OpChmod, str(nameN), u32(uint32(mode))[2:])
	}
	c.do(kcm.OpChown, str(nameN), u32(1000), u32(1000))
	c.do(kcm.OpChown, str(nameN), u32(unchanged), u32(unchanged))
	c.ask(kcm.FCCPerm, kcm.OpChown, str(nameN), u32(1001), u32(1000))
	want(t, "caches", []string{nameN}, c.names())
}

func TestMoveCache(t *testing.T) {
	s := newServer(t, Options{})
	c := connect(t, s, user(1000))
	c.ask(kcm.FCCNoFile, kcm.OpMoveCache, str(nameN), str(nameN2))
	want(t, "caches", []string{}, c.names())

	c.do(kcm.OpReplace, str(nameN), u32(7), princ(alice), u32(2), inner(credA), inner(credB))
	content := func(name string) {
		t.Helper()
		want(t, "caches", []string{name}, c.names())
		want(t, "principal", princ(alice), c.get(kcm.OpGetPrincipal, str(name)))
		want(t, "KDC offset", u32(7), c.get(kcm.OpGetKDCOffset, str(name)))
		want(t, "credentials", [][]byte{cred(credA), cred(credB)}, c.creds(name))
	}
	c.do(kcm.OpMoveCache, str(nameN), str(nameN2))
	content(nameN2)
	c.do(kcm.OpMoveCache, str(nameN2), str(nameN2))
	content(nameN2)
	c.do(kcm.OpInitialize, str(nameN), princ("bob@LAB.TEST"))
	c.do(kcm.OpMoveCache, str(nameN2), str(nameN))
	content(nameN)

	c.ask(kcm.FCCPerm, kcm.OpMoveCache, str(nameN), str("1001:x"))
	c.ask(kcm.CCBadName, kcm.OpMoveCache, str(nameN), str("1000:\n"))
	c.ask(kcm.CCFormat, kcm.OpMoveCache, str(nameN), []byte("no NUL"))
	c.ask(kcm.FCCNoFile, kcm.OpMoveCache, str("1001:x"), str(nameN))
	content(nameN)

	root := connect(t, s, user(0))
	root.do(kcm.OpReplace, str("0:new"), u32(0), princ(alice), u32(1), inner(credA))
	root.do(kcm.OpMoveCache, str("0:new"), str(nameN2))
	want(t, "caches of root", []string{}, root.names())
	want(t, "caches of the user", []string{nameN, nameN2}, c.names())
	want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN2))
}

// lacks checks that no operation finds a cache of that name.
func (c *client) lacks(name string) {
	c.t.Helper()
	for _, op := range []kcm.Opcode{kcm.OpGetPrincipal, kcm.OpGetCredUUIDList, kcm.OpGetCredList, kcm.OpGetKDCOffset, kcm.OpDestroy} {
		c.ask(kcm.FCCNoFile, op, str(name))
	}
	c.ask(kcm.FCCNoFile, kcm.OpStore, str(name), cred(credA))
	c.ask(kcm.FCCNoFile, kcm.OpRetrieve, str(name), server("host/a@LAB.TEST"))
	c.ask(kcm.FCCNoFile, kcm.OpRemoveCred, str(name), server("host/a@LAB.TEST"))
	c.ask(kcm.FCCNoFile, kcm.OpSetKDCOffset, str(name), u32(5))
	c.ask(kcm.FCCNoFile, kcm.OpGetCredByUUID, str(name), make([]byte, 16))
}

func TestNothingThere(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	want(t, "default name", nameD, c.defaultName())
	want(t, "default name, asked with bytes too many", nameD+"\x00", string(c.get(kcm.OpGetDefaultCache, []byte{0, 0})))
	want(t, "caches", []string{}, c.names())

	c.lacks(nameN)
	c.ask(kcm.CCEnd, kcm.OpGetCacheByUUID, make([]byte, 16))
	want(t, "caches", []string{}, c.names())
}

func TestGenNew(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	first := nameIn(t, c.get(kcm.OpGenNew))
	second := nameIn(t, c.get(kcm.OpGenNew))
	if first == second {
		t.Errorf("%s came twice", first)
	}
	for _, name := range []string{first, second} {
		if name[:5] != "1000:" {
			t.Errorf("%s is no name of uid 1000", name)
		}
		c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(name))
		c.ask(kcm.FCCNoFile, kcm.OpDestroy, str(name))
	}
	want(t, "caches", []string{}, c.names())
	c.do(kcm.OpInitialize, str(first), princ(alice))
	want(t, "caches", []string{first}, c.names())
}

func TestInitialize(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	want(t, "principal", princ(alice), c.get(kcm.OpGetPrincipal, str(nameN)))
	want(t, "credentials", [][]byte{}, c.creds(nameN))
	want(t, "credential UUIDs", 0, len(c.get(kcm.OpGetCredUUIDList, str(nameN))))
	want(t, "KDC offset", u32(0), c.get(kcm.OpGetKDCOffset, str(nameN)))
	want(t, "caches", []string{nameN}, c.names())
	want(t, "default name", nameD, c.defaultName())
	id := c.get(kcm.OpGetCacheUUIDList)

	c.do(kcm.OpStore, str(nameN), cred(credA))
	c.do(kcm.OpSetKDCOffset, str(nameN), u32(9))
	c.do(kcm.OpInitialize, str(nameN), princ("bob@LAB.TEST"))
	want(t, "principal", princ("bob@LAB.TEST"), c.get(kcm.OpGetPrincipal, str(nameN)))
	want(t, "credentials", [][]byte{}, c.creds(nameN))
	want(t, "KDC offset", u32(0), c.get(kcm.OpGetKDCOffset, str(nameN)))
	want(t, "cache UUID", id, c.get(kcm.OpGetCacheUUIDList))

	c.ask(kcm.CCFormat, kcm.OpInitialize, str(nameN), []byte("\x00\x00\x00\x01\x7f\xff\xff\xff\x00\x00\x00\x01R\x00\x00\x00\x01a"))
	want(t, "principal after a malformed request", princ("bob@LAB.TEST"), c.get(kcm.OpGetPrincipal, str(nameN)))
	c.ask(kcm.CCFormat, kcm.OpGetPrincipal, []byte("no NUL"))
}

func TestKDCOffset(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpSetKDCOffset, str(nameN), u32(0xfffffff9))
	want(t, "KDC offset", u32(0xfffffff9), c.get(kcm.OpGetKDCOffset, str(nameN)))
}

// TestRetrieveWithOffset has clients list the credentials of a cache whose KDC
// offset matters, whether or not there is a match, and although they have asked
// for the offset.
func TestRetrieveWithOffset(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	for offset, code := range map[int32]kcm.Code{0: kcm.OK, 59: kcm.OK, -59: kcm.OK, 60: kcm.FCCInternal, -60: kcm.FCCInternal, -1 << 31: kcm.FCCInternal} {
		c.do(kcm.OpReplace, str(nameN), u32(uint32(offset)), princ(alice), u32(1), inner(credA))
		for range 2 {
			c.ask(code, kcm.OpRetrieve, str(nameN), server("host/a@LAB.TEST"))
			miss := code
			if code == kcm.OK {
				miss = kcm.CCNotFound
			}
			c.ask(miss, kcm.OpRetrieve, str(nameN), server("host/b@LAB.TEST"))
			want(t, "KDC offset", u32(uint32(offset)), c.get(kcm.OpGetKDCOffset, str(nameN)))
			want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN))
		}
	}
}

func TestStoreAndList(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpStore, str(nameN), cred(credA))
	want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN))
	c.do(kcm.OpStore, str(nameN), cred(credB))
	ids := uuids(t, c.get(kcm.OpGetCredUUIDList, str(nameN)))
	want(t, "number of UUIDs", 2, len(ids))
	want(t, "first credential", cred(credA), c.get(kcm.OpGetCredByUUID, str(nameN), ids[0][:]))
	want(t, "second credential", cred(credB), c.get(kcm.OpGetCredByUUID, str(nameN), ids[1][:]))
	c.ask(kcm.CCEnd, kcm.OpGetCredByUUID, str(nameN), make([]byte, 16))
	c.ask(kcm.CCFormat, kcm.OpGetCredByUUID, str(nameN), make([]byte, 15))

	whole := cred(credA)
	c.ask(kcm.CCFormat, kcm.OpStore, str(nameN), whole[:len(whole)-1])
	want(t, "credentials after a malformed request", 2, len(c.creds(nameN)))
}

// TestRetrieve goes through the match flags, one by one.
func TestRetrieve(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	restricted := testCred("host/ad@LAB.TEST")
	restricted.AuthData = []ccache.AuthData{{Type: 1, Data: []byte("xy")}, {Type: -17, Data: []byte("z")}}
	userToUser := testCred("host/u2u@LAB.TEST")
	userToUser.IsSKey, userToUser.SecondTicket = 8, []byte("SEC")
	config := storetest.Config(alice, "k1", "value")
	config.Server.NameType = 0
	config.EndTime = 1000 // long past: means nothing
	negative := testCred("host/neg@LAB.TEST")
	negative.Key.Type = -133
	nobody := testCred("host/nobody@LAB.TEST")
	nobody.Server = ccache.Principal{}
	odd := testCred("host/odd@LAB.TEST")
	odd.Server = ccache.Principal{Realm: "R\xc3\xa9", Components: []string{"a/b", "x@y", "n\x00l", ""}}
	all := []*ccache.Credential{credA, credB, restricted, userToUser, config, negative, nobody, odd}
	for _, cr := range all {
		c.do(kcm.OpStore, str(nameN), cred(cr))
	}

	base := func(server string) ccache.Match {
		return ccache.Match{Client: ref(storetest.Principal(alice)), Server: ref(storetest.Principal(server))}
	}
	with := func(m ccache.Match, flags ccache.MatchFlags, f func(*ccache.Match)) ccache.Match {
		m.Flags = flags
		if f != nil {
			f(&m)
		}
		return m
	}
	a := base("host/a@LAB.TEST")
	ad := base("host/ad@LAB.TEST")
	u2u := base("host/u2u@LAB.TEST")
	tests := []struct {
		name string
		m    ccache.Match
		want *ccache.Credential // nil: not found
	}{
		{"host/a", a, credA},
		{"name types do not count", with(a, 0, func(m *ccache.Match) {
			m.Client.NameType, m.Server.NameType = 10, 3
		}), credA},
		{"another realm", base("host/a@X"), nil},
		{"another realm, name only", with(base("host/a@X"), ccache.MatchServerNameOnly, nil), credA},
		{"client of another realm, name only", with(a, ccache.MatchServerNameOnly, func(m *ccache.Match) {
			m.Client = ref(storetest.Principal("alice@X"))
		}), nil},
		{"both of another realm, no realm", with(base("host/a@X"), ccache.MatchNoRealm, func(m *ccache.Match) {
			m.Client = ref(storetest.Principal("alice@X"))
		}), credA},
		{"referral realm", base("host/a@"), nil},
		{"no client", ccache.Match{Server: a.Server}, credA},
		{"no server", ccache.Match{Client: a.Client}, credA},
		{"nothing", ccache.Match{}, credA},
		{"another case", base("HOST/a@LAB.TEST"), nil},
		{"fewer components", base("host@LAB.TEST"), nil},
		{"ends early enough", with(a, ccache.MatchTimes, func(m *ccache.Match) { m.EndTime = 2999999999 }), credA},
		{"ends just then", with(a, ccache.MatchTimes, func(m *ccache.Match) { m.EndTime = 3000000000 }), credA},
		{"ends too early", with(a, ccache.MatchTimes, func(m *ccache.Match) { m.EndTime = 3000000001 }), nil},
		{"renewable long enough", with(a, ccache.MatchTimes, func(m *ccache.Match) { m.RenewTill = 4000000000 }), credA},
		{"not renewable long enough", with(a, ccache.MatchTimes, func(m *ccache.Match) { m.RenewTill = 4000000001 }), nil},
		{"times of 0", with(a, ccache.MatchTimes, nil), credA},
		{"times that do not count", with(a, 0, func(m *ccache.Match) { m.EndTime, m.RenewTill = 0xffffffff, 0xffffffff }), credA},
		{"exact times", with(a, ccache.MatchTimesExact, func(m *ccache.Match) {
			m.AuthTime, m.StartTime, m.EndTime, m.RenewTill = 1, 2, 3000000000, 4000000000
		}), credA},
		{"exact times, a second off", with(a, ccache.MatchTimesExact, func(m *ccache.Match) {
			m.AuthTime, m.StartTime, m.EndTime, m.RenewTill = 2, 2, 3000000000, 4000000000
		}), nil},
		{"flags that it has", with(a, ccache.MatchTicketFlags, func(m *ccache.Match) { m.TicketFlags = 0x40000000 }), credA},
		{"flags that it has not", with(a, ccache.MatchTicketFlags, func(m *ccache.Match) { m.TicketFlags = 0x20000000 }), nil},
		{"exact flags", with(a, ccache.MatchFlagsExact, func(m *ccache.Match) { m.TicketFlags = 0x40e10000 }), credA},
		{"not the exact flags", with(a, ccache.MatchFlagsExact, func(m *ccache.Match) { m.TicketFlags = 0x40000000 }), nil},
		{"key type", with(a, ccache.MatchKeyType, func(m *ccache.Match) { m.KeyType = 18 }), credA},
		{"another key type", with(a, ccache.MatchKeyType, func(m *ccache.Match) { m.KeyType = 17 }), nil},
		{"key type without a key", with(a, ccache.MatchKeyType, nil), nil},
		{"negative key type", with(base("host/neg@LAB.TEST"), ccache.MatchKeyType, func(m *ccache.Match) { m.KeyType = -133 }), negative},
		{"no authdata, as in the match", with(a, ccache.MatchAuthData, nil), credA},
		{"authdata in the match only", with(a, ccache.MatchAuthData, func(m *ccache.Match) { m.AuthData = restricted.AuthData }), nil},
		{"authdata", with(ad, ccache.MatchAuthData, func(m *ccache.Match) { m.AuthData = restricted.AuthData }), restricted},
		{"authdata in another order", with(ad, ccache.MatchAuthData, func(m *ccache.Match) {
			m.AuthData = []ccache.AuthData{restricted.AuthData[1], restricted.AuthData[0]}
		}), nil},
		{"authdata in the credential only", with(ad, ccache.MatchAuthData, nil), nil},
		{"authdata that does not count", ad, restricted},
		{"user-to-user, not asked for", u2u, nil},
		{"user-to-user", with(u2u, ccache.MatchIsSKey, func(m *ccache.Match) { m.IsSKey = true }), userToUser},
		{"user-to-user, not wanted", with(u2u, ccache.MatchIsSKey, nil), nil},
		{"second ticket", with(u2u, ccache.MatchIsSKey|ccache.MatchSecondTicket, func(m *ccache.Match) {
			m.IsSKey, m.SecondTicket = true, []byte("SEC")
		}), userToUser},
		{"another second ticket", with(u2u, ccache.MatchIsSKey|ccache.MatchSecondTicket, func(m *ccache.Match) {
			m.IsSKey, m.SecondTicket = true, []byte("SEX")
		}), nil},
		{"second ticket in the match only", with(ccache.Match{Server: a.Server}, ccache.MatchSecondTicket, func(m *ccache.Match) {
			m.SecondTicket = []byte("SEC")
		}), nil},
		{"configuration entry, its name type another", ccache.Match{Client: a.Client, Server: ref(storetest.Config(alice, "k1", "").Server)}, config},
		{"no components, no realm", ccache.Match{Server: &ccache.Principal{}}, nobody},
		{"odd bytes", ccache.Match{Server: &odd.Server}, odd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &client{Client: c.Client, t: t}
			for _, flags := range []ccache.MatchFlags{0, 1} { // bit 0 asks not to bother a KDC
				tt.m.Flags |= flags
				if tt.want == nil {
					c.ask(kcm.CCNotFound, kcm.OpRetrieve, str(nameN), mcred(tt.m))
					continue
				}
				if got := c.get(kcm.OpRetrieve, str(nameN), mcred(tt.m)); !bytes.Equal(got, cred(tt.want)) {
					t.Errorf("found %q", got)
				}
			}
		})
	}
	m := mcred(a)
	want(t, "with bytes too many", cred(credA), c.get(kcm.OpRetrieve, str(nameN), m, u32(0)))
	c.ask(kcm.CCFormat, kcm.OpRetrieve, str(nameN), m[:len(m)-3])

	// Ticket and addresses in the match credential are read over.
	head := len(u32(0))
	body := bytes.Clone(m)
	body[head+3] |= 0x48 // header: addresses, ticket
	body = append(body, u32(1)...)
	body = append(body, "\x00\x02\x00\x00\x00\x04\x7f\x00\x00\x01"...)
	body = append(body, "\x00\x00\x00\x03TKT"...)
	want(t, "with addresses and a ticket", cred(credA), c.get(kcm.OpRetrieve, str(nameN), body))
}

func TestConfigEntries(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpStore, str(nameN), cred(storetest.Config(alice, "k1", "1")))
	c.do(kcm.OpStore, str(nameN), cred(credA))
	c.do(kcm.OpStore, str(nameN), cred(storetest.Config(alice, "k1", "2")))
	want(t, "credentials", [][]byte{cred(storetest.Config(alice, "k1", "2")), cred(credA)}, c.creds(nameN))

	m := mcred(ccache.Match{Client: ref(storetest.Principal(alice)), Server: ref(storetest.Config(alice, "k1", "").Server)})
	c.do(kcm.OpRemoveCred, str(nameN), m)
	c.do(kcm.OpRemoveCred, str(nameN), m) // nothing to remove is no error
	want(t, "credentials", [][]byte{cred(credA)}, c.creds(nameN))
}

func TestRemoveCred(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	userToUser := testCred("host/u2u@LAB.TEST")
	userToUser.IsSKey, userToUser.SecondTicket = 8, []byte("SEC")
	u2u := storetest.Principal("host/u2u@LAB.TEST")
	count := func(n int) {
		t.Helper()
		want(t, "number of credentials", n, len(c.creds(nameN)))
	}

	c.do(kcm.OpStore, str(nameN), cred(userToUser))
	c.do(kcm.OpRemoveCred, str(nameN), server("host/u2u@LAB.TEST"))
	count(1)
	c.do(kcm.OpRemoveCred, str(nameN), mcred(ccache.Match{Flags: ccache.MatchIsSKey, IsSKey: true, Server: &u2u}))
	count(0)

	c.do(kcm.OpStore, str(nameN), cred(userToUser))
	const matchIsSKeyOfMIT119 = 2
	c.do(kcm.OpRemoveCred, str(nameN), mcred(ccache.Match{Flags: matchIsSKeyOfMIT119, IsSKey: true, Server: &u2u}))
	count(0)

	weak := testCred("host/a@LAB.TEST")
	weak.Key.Type = 17
	for _, cr := range []*ccache.Credential{credA, credB, weak} {
		c.do(kcm.OpStore, str(nameN), cred(cr))
	}
	want(t, "of two for host/a the older", cred(credA), c.get(kcm.OpRetrieve, str(nameN), server("host/a@LAB.TEST")))
	c.do(kcm.OpRemoveCred, str(nameN), server("host/a@LAB.TEST"))
	want(t, "credentials", [][]byte{cred(credB)}, c.creds(nameN))
}

func TestReplace(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(credB))
	want(t, "caches", []string{nameN}, c.names())
	want(t, "default name", nameD, c.defaultName())
	id := c.get(kcm.OpGetCacheUUIDList)

	c.do(kcm.OpReplace, str(nameN), u32(0xfffffffb), princ("bob@LAB.TEST"), u32(2), inner(credA), inner(credB))
	content := func() {
		t.Helper()
		want(t, "principal", princ("bob@LAB.TEST"), c.get(kcm.OpGetPrincipal, str(nameN)))
		want(t, "KDC offset", u32(0xfffffffb), c.get(kcm.OpGetKDCOffset, str(nameN)))
		want(t, "credentials", [][]byte{cred(credA), cred(credB)}, c.creds(nameN))
		want(t, "cache UUID", id, c.get(kcm.OpGetCacheUUIDList))
	}
	content()

	short := inner(credB)
	short[3]--
	for name, args := range map[string][][]byte{
		"junk for the second credential": {u32(2), inner(credA), u32(4), []byte("junk")},
		"2^32-1 credentials":             {u32(0xffffffff), inner(credA)},
		"a length too short":             {u32(2), inner(credA), short},
		"one credential missing":         {u32(2), inner(credA)},
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{Client: c.Client, t: t}
			c.ask(kcm.CCFormat, kcm.OpReplace, str(nameN), u32(0), princ(alice), bytes.Join(args, nil))
		})
	}
	content()

	c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(0))
	want(t, "credentials", [][]byte{}, c.creds(nameN))
}

func TestDefaultCache(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpInitialize, str(nameN2), princ(alice))
	want(t, "default name", nameD, c.defaultName())
	c.do(kcm.OpSetDefaultCache, str(nameN2))
	want(t, "default name", nameN2, c.defaultName())
	want(t, "caches", []string{nameN2, nameN}, c.names())
	c.do(kcm.OpDestroy, str(nameN2))
	want(t, "default name", nameN2, c.defaultName())
	c.ask(kcm.FCCNoFile, kcm.OpDestroy, str(nameN2))
	c.do(kcm.OpSetDefaultCache, str("1000:nope"))
	want(t, "default name", "1000:nope", c.defaultName())
	want(t, "caches", []string{nameN}, c.names())
}

func TestDefaultFirst(t *testing.T) {
	c := connect(t, newServer(t, Options{DefaultFirst: true}), user(1000))
	want(t, "default name", nameD, c.defaultName())
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	c.do(kcm.OpInitialize, str(nameN2), princ(alice))
	want(t, "default name", nameN, c.defaultName())
	c.do(kcm.OpSetDefaultCache, str(nameN2))
	want(t, "default name", nameN2, c.defaultName())
	c.do(kcm.OpDestroy, str(nameN2))
	want(t, "default name", nameN, c.defaultName())
}

// TestAccess has uid 1001 and uid 10001 try for what belongs to uid 1000.
func TestAccess(t *testing.T) {
	s := newServer(t, Options{})
	owner, root := connect(t, s, user(1000)), connect(t, s, user(0))
	owner.do(kcm.OpInitialize, str(nameD), princ(alice))
	owner.do(kcm.OpStore, str(nameD), cred(credA))
	id := owner.get(kcm.OpGetCacheUUIDList)

	for _, uid := range []uint32{1001, 10001, 100} {
		c := connect(t, s, user(uid))
		for _, name := range []string{nameD, "1000:none", "foobar"} {
			c.lacks(name)
			c.ask(kcm.FCCPerm, kcm.OpInitialize, str(name), princ(alice))
			c.ask(kcm.FCCPerm, kcm.OpReplace, str(name), u32(0), princ(alice), u32(0))
			c.ask(kcm.FCCPerm, kcm.OpSetDefaultCache, str(name))
		}
		c.ask(kcm.CCEnd, kcm.OpGetCacheByUUID, id)
		want(t, "caches", []string{}, c.names())
	}
	want(t, "credentials of the owner", [][]byte{cred(credA)}, owner.creds(nameD))

	want(t, "caches of root", []string{}, root.names())
	want(t, "credentials, as root sees them", [][]byte{cred(credA)}, root.creds(nameD))
	root.do(kcm.OpInitialize, str("1000:by root"), princ(alice))
	root.do(kcm.OpSetDefaultCache, str("1000:by root"))
	want(t, "caches of the owner", []string{"1000:by root", nameD}, owner.names())
	want(t, "default name of root", "0", root.defaultName())
	root.do(kcm.OpInitialize, str("foobar"), princ(alice))
	want(t, "caches of root", []string{"foobar"}, root.names())
}

func TestNames(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	long := string(bytes.Repeat([]byte{'x'}, maxNameLen-5))
	for _, name := range []string{"1000", "1000:", "1000::", "1000:/tmp/krb5cc", "1000:a b", "1000:\xff\xc3\xa9", "1000:" + long} {
		c.do(kcm.OpInitialize, str(name), princ(alice))
		want(t, "principal", princ(alice), c.get(kcm.OpGetPrincipal, str(name)))
	}
	for _, name := range []string{"1000:a\n", "1000:\x1b[m", "1000:\x7f", "1000:" + long + "x"} {
		c.ask(kcm.CCBadName, kcm.OpInitialize, str(name), princ(alice))
		c.ask(kcm.CCBadName, kcm.OpSetDefaultCache, str(name))
	}
	for _, name := range []string{"01000", "1000x", "10000", "+1000", "1000 ", " 1000", "-1", "4294968296", "1000.:x"} {
		c.ask(kcm.FCCPerm, kcm.OpInitialize, str(name), princ(alice))
		c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(name))
	}
}

func TestNamespaces(t *testing.T) {
	s := newServer(t, Options{})
	host := connect(t, s, user(1000))
	container := connect(t, s, Peer{Namespace: "container", UID: 1000, PID: 1})
	host.do(kcm.OpInitialize, str(nameD), princ(alice))
	want(t, "caches elsewhere", []string{}, container.names())
	container.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
	container.do(kcm.OpInitialize, str(nameD), princ("bob@LAB.TEST"))
	want(t, "principal", princ(alice), host.get(kcm.OpGetPrincipal, str(nameD)))
}

// TestIterationGoesOn rewrites a cache while another client iterates over it.
func TestIterationGoesOn(t *testing.T) {
	s := newServer(t, Options{})
	reader, writer := connect(t, s, user(1000)), connect(t, s, user(1000))
	writer.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(2), inner(credA), inner(credB))
	ids := uuids(t, reader.get(kcm.OpGetCredUUIDList, str(nameN)))
	writer.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(testCred("host/c@LAB.TEST")))
	writer.ask(kcm.CCEnd, kcm.OpGetCredByUUID, str(nameN), ids[0][:])
	for range 2 {
		want(t, "the first that was listed", cred(credA), reader.get(kcm.OpGetCredByUUID, str(nameN), ids[0][:]))
	}
	want(t, "the last that was listed", cred(credB), reader.get(kcm.OpGetCredByUUID, str(nameN), ids[1][:]))
	reader.ask(kcm.CCEnd, kcm.OpGetCredByUUID, str(nameN), ids[0][:]) // the iteration is over

	// What was listed of a cache that is gone is not of the next one.
	writer.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(2), inner(credA), inner(credB))
	ids = uuids(t, reader.get(kcm.OpGetCredUUIDList, str(nameN)))
	writer.do(kcm.OpDestroy, str(nameN))
	reader.ask(kcm.FCCNoFile, kcm.OpGetCredByUUID, str(nameN), ids[0][:])
	writer.do(kcm.OpInitialize, str(nameN), princ(alice))
	reader.ask(kcm.CCEnd, kcm.OpGetCredByUUID, str(nameN), ids[0][:])
}

// TestLargeReply stores more than one reply can hold: the list is refused with
// the code on which clients iterate, and that works.
func TestLargeReply(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	large := make([]*ccache.Credential, 3)
	for i := range large {
		large[i] = testCred("host/" + string(rune('a'+i)) + "@LAB.TEST")
		large[i].Ticket = bytes.Repeat([]byte{byte(i)}, 4<<20)
		c.do(kcm.OpStore, str(nameN), cred(large[i]))
	}
	c.ask(kcm.FCCInternal, kcm.OpGetCredList, str(nameN))
	for i, id := range uuids(t, c.get(kcm.OpGetCredUUIDList, str(nameN))) {
		if got := c.get(kcm.OpGetCredByUUID, str(nameN), id[:]); !bytes.Equal(got, cred(large[i])) {
			t.Errorf("credential %d came back with %d other bytes", i, len(got))
		}
	}
}

// A broken backend fails to commit.
type broken struct{ ccstore.Backend }

func (broken) Commit(context.Context, *ccstore.Commit) error { return context.DeadlineExceeded }

func TestStoreFails(t *testing.T) {
	store := ccstore.Open(broken{emptyBackend{}}, ccstore.Options{})
	c := connect(t, New(store, Options{}), user(1000))
	c.ask(kcm.CCWrite, kcm.OpInitialize, str(nameN), princ(alice))
	c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameN))
}

type emptyBackend struct{}

func (emptyBackend) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	return &ccstore.Record{}, nil
}
func (emptyBackend) Commit(context.Context, *ccstore.Commit) error   { return nil }
func (emptyBackend) Owners(context.Context) ([]ccstore.Owner, error) { return nil, nil }
func (emptyBackend) Due(context.Context, ccstore.DeadlineKind, int64, int64, int) ([]ccstore.Deadline, error) {
	return nil, nil
}
func (emptyBackend) Stored() int64                            { return 0 }
func (emptyBackend) Quarantined(context.Context) (int, error) { return 0, nil }
func (emptyBackend) Close() error                             { return nil }

// TestQuota is told by the code that users read as "Disk quota exceeded".
func TestQuota(t *testing.T) {
	store := storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{Limits: ccstore.Limits{Caches: 1}}))
	c := connect(t, New(store, Options{}), user(1000))
	c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(credA))
	c.ask(kcm.EDQUOT, kcm.OpInitialize, str(nameN2), princ(alice))
	c.ask(kcm.EDQUOT, kcm.OpReplace, str(nameN2), u32(0), princ(alice), u32(0))
	c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(1), inner(credB))
	want(t, "caches", []string{nameN}, c.names())
	c.do(kcm.OpMoveCache, str(nameN), str(nameN2)) // one goes as another comes
	want(t, "caches", []string{nameN2}, c.names())
}

func TestCacheUUIDsAreRandom(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	first := uuids(t, c.get(kcm.OpGetCacheUUIDList))
	c.do(kcm.OpDestroy, str(nameN))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	second := uuids(t, c.get(kcm.OpGetCacheUUIDList))
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] || first[0] == uuid.Nil {
		t.Errorf("UUIDs %v, then %v", first, second)
	}
}
