package dbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/dbus/view"
)

func TestTickets(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	now := time.Now().Truncate(time.Second)
	first := withStart(tgt(alice(), now.Add(10*time.Hour)), now.Add(-time.Hour))
	far := credential(alice(), now.Add(-time.Minute), "host", "far")
	far.Server.Realm = "EXAMPLE.ORG"
	update(t, store, uid, func(tx *ccstore.Tx) {
		tx.Replace("x", alice(), 0, []*ccache.Credential{
			first,
			configEntry(),
			credential(alice(), now.Add(30*time.Minute), "host", "a"),
			credential(alice(), now.Add(5*time.Minute), "host", "b"),
			credential(alice(), now.Add(-time.Minute), "host", "c"),
			far,
		})
	})
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	cache := pathOf(t, store, uid, "x")

	got := make(map[string]any)
	ticket := firstTicket(c, cache)
	for key, value := range ticket {
		got[key] = value.Value()
	}
	delete(got, "id")
	want := map[string]any{
		"server": "krbtgt/EXAMPLE.COM@EXAMPLE.COM", "client": "alice@EXAMPLE.COM", "is-tgt": true,
		"auth-time": now.Add(-time.Hour).Unix(), "start-time": now.Add(-time.Hour).Unix(), "end-time": now.Add(10 * time.Hour).Unix(),
		"renew-until": now.Add(34 * time.Hour).Unix(), "flags": []string{"renewable", "initial"},
		"enctype": int32(18), "ticket-enctype": int32(20), "state": "valid", "size": uint32(len(first.Bytes())),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ticket (-want +got):\n%s", diff)
	}
	same := must[map[string]godbus.Variant](c, cache, "Cache.GetTicket", ticket["id"].Value())
	if diff := cmp.Diff(fmt.Sprint(ticket), fmt.Sprint(same)); diff != "" {
		t.Errorf("GetTicket differs from ListTickets:\n%s", diff)
	}

	for _, test := range []struct {
		options map[string]any
		want    string
		total   uint32
	}{
		{nil, "krbtgt a b c far@EXAMPLE.ORG", 5},
		{map[string]any{"offset": uint32(1)}, "a b c far@EXAMPLE.ORG", 5},
		{map[string]any{"offset": uint32(1), "limit": uint32(2)}, "a b", 5},
		{map[string]any{"offset": uint32(9)}, "", 5},
		{map[string]any{"limit": uint32(0)}, "", 5},
		{map[string]any{"tgt-only": true}, "krbtgt", 1},
		{map[string]any{"server": "host/b@EXAMPLE.COM"}, "b", 1},
		{map[string]any{"server": "host/b"}, "b", 1},
		{map[string]any{"server": "krbtgt/EXAMPLE.COM"}, "krbtgt", 1},
		{map[string]any{"server": "host/far"}, "far@EXAMPLE.ORG", 1},
		{map[string]any{"server": "host/far@EXAMPLE.COM"}, "", 0},
		{map[string]any{"server": "*@EXAMPLE.ORG"}, "far@EXAMPLE.ORG", 1},
		{map[string]any{"server": "host"}, "", 0},
		{map[string]any{"server": "host/b@"}, "", 0},
		{map[string]any{"state": "valid"}, "krbtgt a", 2},
		{map[string]any{"state": "expiring"}, "b", 1},
		{map[string]any{"state": "expired", "limit": uint32(1)}, "c", 2},
	} {
		list, total := listOf(c, cache, test.options)
		var names []string
		for _, ticket := range list {
			name := strings.TrimSuffix(ticket["server"].Value().(string), "@EXAMPLE.COM")
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, "host/"), "/EXAMPLE.COM"))
		}
		if got := strings.Join(names, " "); got != test.want || total != test.total {
			t.Errorf("ListTickets(%v) = %q of %d, want %q of %d", test.options, got, total, test.want, test.total)
		}
	}
}

// TestPages: each answer of ListTickets is of at most 64 KiB, and the pages
// together are all tickets, also those of long names.
func TestPages(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	end := time.Now().Add(time.Hour)
	kinit(t, store, uid, "x", alice())
	update(t, store, uid, func(tx *ccstore.Tx) {
		for i := range 299 {
			if err := tx.Store("x", credential(alice(), end, "host", strings.Repeat("ä", 100*(i%7)), fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	})
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	ids := make(map[string]bool)
	for _, ticket := range allTickets(c, pathOf(t, store, uid, "x")) {
		ids[ticket["id"].Value().(string)] = true
	}
	if len(ids) != 300 {
		t.Errorf("%d tickets", len(ids))
	}
}

// allTickets returns the tickets of a cache, page by page.
func allTickets(c *tester, cache godbus.ObjectPath) (all []map[string]godbus.Variant) {
	c.t.Helper()
	for {
		list, total := listOf(c, cache, map[string]any{"offset": uint32(len(all))})
		all = append(all, list...)
		if len(all) == int(total) {
			return all
		}
		page := &godbus.Message{Type: godbus.TypeSignal, Body: []any{list}, Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldSignature: godbus.MakeVariant(godbus.SignatureOf(list)), godbus.FieldPath: godbus.MakeVariant(cache),
			godbus.FieldInterface: godbus.MakeVariant("a.b"), godbus.FieldMember: godbus.MakeVariant("c"),
		}}
		var b bytes.Buffer
		if err := page.EncodeTo(&b, binary.LittleEndian); err != nil {
			c.t.Fatal(err)
		}
		if len(list) == 0 || b.Len() > 64<<10 {
			c.t.Fatalf("a page of %d tickets, %d bytes", len(list), b.Len())
		}
	}
}

// TestStrangeNames stores names that no D-Bus string can hold, and long ones.
func TestStrangeNames(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	strange := ccache.Principal{Realm: "R\x00\xff", Components: []string{"a\x01\xc3", "ä@"}}
	long := ccache.Principal{Realm: "R", Components: []string{strings.Repeat("ä", 2000)}}
	kinit(t, store, uid, "strange\xff", strange)
	kinit(t, store, uid, "long", long)
	eventually(t, "both are announced", func() bool { return len(c.received("InterfacesAdded")) >= 2 })
	cache := pathOf(t, store, uid, "strange\xff")
	if got, want := c.property(cache, "Cache", "ClientPrincipal"), `a\x01\xC3/ä\@@R\0\xFF`; got != want {
		t.Errorf("ClientPrincipal %q, want %q", got, want)
	}
	if got, want := c.property(cache, "Cache", "Name"), `KCM:strange\xFF`; got != want {
		t.Errorf("Name %q, want %q", got, want)
	}
	if got := c.property(pathOf(t, store, uid, "long"), "Cache", "ClientPrincipal").(string); len(got) > view.MaxText+3 || !strings.HasSuffix(got, "...") {
		t.Errorf("a long principal has %d bytes", len(got))
	}
	if got := must[[]godbus.ObjectPath](c, rootPath, "Manager.FindCaches", `a\x01\xC3/ä\@`); !slices.Equal(got, []godbus.ObjectPath{cache}) {
		t.Errorf("FindCaches: %v", got)
	}
}

func TestManager(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	bob := ccache.Principal{Realm: "OTHER.ORG", Components: []string{"bob", "admin"}}
	kinit(t, store, uid, fmt.Sprint(uid), alice())
	kinit(t, store, uid, fmt.Sprint(uid, ":x"), bob)
	startService(t, store, Config{Address: bus.address, Version: "1.2", SocketPath: "/run/x"})
	c := bus.connect(t)
	first, second := pathOf(t, store, uid, fmt.Sprint(uid)), pathOf(t, store, uid, fmt.Sprint(uid, ":x"))
	for _, of := range []uint32{uid, ownUID} {
		if got := must[godbus.ObjectPath](c, rootPath, "Manager.GetCollection", of); got != collectionPath(uid) {
			t.Errorf("GetCollection(%d) = %s", of, got)
		}
	}
	for name, want := range map[string]godbus.ObjectPath{
		"KCM:":                        first,
		fmt.Sprint("KCM:", uid):       first,
		fmt.Sprint(uid, ":x"):         second,
		fmt.Sprint("KCM:", uid, ":x"): second,
		uuidOf(second):                second,
	} {
		if got := must[godbus.ObjectPath](c, rootPath, "Manager.GetCache", name); got != want {
			t.Errorf("GetCache(%q) = %s, want %s", name, got, want)
		}
	}
	for principal, want := range map[string][]godbus.ObjectPath{
		"":                    {first, second},
		"alice":               {first},
		"alice@EXAMPLE.COM":   {first},
		"*@EXAMPLE.COM":       {first},
		"bob/admin":           {second},
		"bob/admin@OTHER.ORG": {second},
		"*@OTHER.ORG":         {second},
		"bob":                 nil,
		"*@NONE":              nil,
		"alice@":              nil,
	} {
		if got := must[[]godbus.ObjectPath](c, rootPath, "Manager.FindCaches", principal); !slices.Equal(got, want) {
			t.Errorf("FindCaches(%q) = %v, want %v", principal, got, want)
		}
	}
	for name, want := range map[string]any{
		"Version": "1.2", "SocketPath": "/run/x", "Mode": "system", "ApiVersion": uint32(2),
		"ExpiryWarning": uint32(600), "OwnCollection": collectionPath(uid),
	} {
		if got := c.property(rootPath, "Manager", name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestBusError(t *testing.T) {
	for _, test := range []struct {
		err        error
		name, text string
	}{
		{ccstore.ErrNoCache, errUnknownObject, "no such object"},
		{ccstore.ErrNoCredential, errNoSuchTicket, "no such ticket"},
		{fmt.Errorf("%w: disk /dev/x is full", ccstore.ErrBackend), errFailed, "the credential cache store failed"},
		{ccstore.ErrClosed, errFailed, "the service is stopping"},
		{fmt.Errorf("something: %w", unknownObject), errUnknownObject, "no such object"},
		{fmt.Errorf("index out of range"), errFailed, "internal error"},
	} {
		if name, text := busError(test.err); name != test.name || text != test.text {
			t.Errorf("busError(%v) = %s %q", test.err, name, text)
		}
	}
}

// TestIntegerOptions: an option that is a number takes any integer type: which
// one a library sends is up to the library.
func TestIntegerOptions(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	cache := pathOf(t, store, uid, "x")
	for _, one := range []any{byte(1), int16(1), uint16(1), int32(1), uint32(1), int64(1), uint64(1)} {
		if list, total := listOf(c, cache, map[string]any{"offset": one}); len(list) != 0 || total != 1 {
			t.Errorf("offset %T: %d tickets of %d", one, len(list), total)
		}
		if list, _ := listOf(c, cache, map[string]any{"limit": one}); len(list) != 1 {
			t.Errorf("limit %T: %d tickets", one, len(list))
		}
	}
	for _, test := range []struct {
		value any
		text  string
	}{
		{int32(-1), `option "limit" is -1; allowed: 0 to 4294967295`},
		{int64(1 << 32), `option "limit" is 4294967296; allowed: 0 to 4294967295`},
		{^uint64(0), `option "limit" is 18446744073709551615; allowed: 0 to 4294967295`},
		{1.0, `option "limit" has type d; allowed: offset (u), limit (u), server (s), state (s), tgt-only (b)`},
		{true, `option "limit" has type b; allowed: offset (u), limit (u), server (s), state (s), tgt-only (b)`},
	} {
		if name, text := c.fails(cache, "Cache.ListTickets", variants(map[string]any{"limit": test.value})); name != errInvalidArgs || text != test.text {
			t.Errorf("limit %v: %s %q, want %q", test.value, name, text, test.text)
		}
	}
}
