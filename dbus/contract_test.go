package dbus

import (
	"encoding/xml"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

// TestContract compares what is live with the XML: each object of ours has
// exactly the properties and answers exactly the methods that are declared.
func TestContract(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address, KDC: &fakeKDC{store: store}, Acquires: true})
	c := bus.connect(t)
	noOptions := map[string]godbus.Variant{}
	args := map[string][]any{
		"GetCollection":    {uid},
		"FindCaches":       {""},
		"GetCache":         {"x"},
		"Subscribe":        {noOptions},
		"SubscribeProcess": {uint32(os.Getpid()), noOptions},
		"ListTickets":      {noOptions},
		"SetScope":         {"own"},
		"RemoveTickets":    {[]string{}},
		"Renew":            {noOptions},
		"Verify":           {noOptions},

		"AcquireWithPassword": {"alice", pipeWith(t, "secret"), noOptions},
		"AcquireWithKeytab":   {"alice", pipeWith(t, "keytab"), noOptions},
		"ChangePassword":      {"alice", pipeWith(t, "old"), pipeWith(t, "new")},
	}
	// fill has a cache there, whatever was called before.
	fill := func() (cache godbus.ObjectPath) {
		kinit(t, store, uid, "x", alice())
		cache = pathOf(t, store, uid, "x")
		args["GetTicket"] = []any{firstTicket(c, cache)["id"].Value()}
		args["SetDefault"] = []any{cache}
		return cache
	}
	for _, test := range []struct {
		path  godbus.ObjectPath
		iface *introspection.Interface
		live  *iface
	}{
		{rootPath, introspection.Manager, managerInterface},
		{view.LogControl, introspection.LogControl, logControlInterface},
		{collectionPath(uid), introspection.Collection, collectionInterface},
		{userPath + "/self", introspection.Collection, collectionInterface},
		{"", introspection.Cache, cacheInterface},
	} {
		if cache := fill(); test.iface == introspection.Cache {
			test.path = cache
		}
		want := make(map[string]string)
		for _, p := range test.iface.Properties {
			want[p.Name] = p.Type
			_, writable := test.live.writers[p.Name]
			if test.live.setters[p.Name] != nil {
				writable = true
			}
			if p.Access != "read" && !(p.Access == "readwrite" && writable) {
				t.Errorf("%s.%s: access %q", test.iface.Name, p.Name, p.Access)
			}
		}
		got := make(map[string]string)
		for name, value := range must[map[string]godbus.Variant](c, test.path, propertiesGetAll, test.iface.Name) {
			got[name] = value.Signature().String()
			one := must[godbus.Variant](c, test.path, propertiesGet, test.iface.Name, name)
			if name != "Subscribed" && !cmp.Equal(one.Value(), value.Value()) {
				t.Errorf("%s.%s: Get %v, GetAll %v", test.iface.Name, name, one, value)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("properties of %s (-XML +live):\n%s", test.path, diff)
		}
		for _, m := range test.iface.Methods {
			if cache := fill(); test.iface == introspection.Cache {
				test.path = cache
			}
			for i, arg := range args[m.Name] {
				if _, ok := arg.(godbus.UnixFD); ok {
					args[m.Name][i] = pipeWith(t, "secret") // the first one is read
				}
			}
			call := c.call(test.path, test.iface.Name+"."+m.Name, args[m.Name]...)
			if m.Name == "GetStatistics" && os.Getuid() != 0 {
				var refused godbus.Error
				if !errors.As(call.Err, &refused) || refused.Name != errAccessDenied {
					t.Errorf("GetStatistics by uid %d: %v, want %s", os.Getuid(), call.Err, errAccessDenied)
				}
				continue
			}
			if call.Err != nil {
				t.Errorf("%s.%s: %v", test.iface.Name, m.Name, call.Err)
				continue
			}
			if out := godbus.SignatureOf(call.Body...).String(); !sameShape(out, m.Out()) {
				t.Errorf("%s.%s returns %q, XML says %q", test.iface.Name, m.Name, out, m.Out())
			}
		}
		if len(test.live.methods) != len(test.iface.Methods) {
			t.Errorf("%s: %d methods, XML has %d", test.iface.Name, len(test.live.methods), len(test.iface.Methods))
		}
		if cache := fill(); test.iface == introspection.Cache {
			test.path = cache
		}
		data := must[string](c, test.path, introspectCall)
		if !strings.Contains(data, test.iface.XML) {
			t.Errorf("Introspect of %s does not hold the XML:\n%s", test.path, data)
		}
		if err := xml.Unmarshal([]byte(data), new(struct{})); err != nil {
			t.Errorf("Introspect of %s: %v", test.path, err)
		}
	}
}

// sameShape reports whether two signatures are the same; a structure comes out
// of godbus as an array of variants.
func sameShape(got, want string) bool {
	return got == want || strings.ReplaceAll(strings.ReplaceAll(want, "(uo)", "av"), "(ss)", "av") == got
}

func firstTicket(c *tester, cache godbus.ObjectPath) map[string]godbus.Variant {
	c.t.Helper()
	tickets, _ := listOf(c, cache, nil)
	if len(tickets) == 0 {
		c.t.Fatal("no tickets")
	}
	return tickets[0]
}

func listOf(c *tester, cache godbus.ObjectPath, options map[string]any) ([]map[string]godbus.Variant, uint32) {
	c.t.Helper()
	var list []map[string]godbus.Variant
	var total uint32
	if err := c.call(cache, "Cache.ListTickets", variants(options)).Store(&list, &total); err != nil {
		c.t.Fatal(err)
	}
	return list, total
}

// TestTree walks the tree as busctl does.
func TestTree(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	want := []string{"/", "/org", "/org/kcmd", "/org/kcmd/KCM1", "/org/kcmd/KCM1/user", string(collectionPath(uid))}
	control := []string{"/org/freedesktop", "/org/freedesktop/LogControl1"}
	if diff := cmp.Diff(slices.Concat(want, control), walk(c, "/")); diff != "" {
		t.Errorf("empty tree (-want +got):\n%s", diff)
	}
	kinit(t, store, uid, "x", alice())
	want = append(want, string(collectionPath(uid))+"/cache", string(pathOf(t, store, uid, "x")))
	if diff := cmp.Diff(slices.Concat(want, control), walk(c, "/")); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func walk(c *tester, path string) []string {
	c.t.Helper()
	var node struct {
		Nodes []struct {
			Name string `xml:"name,attr"`
		} `xml:"node"`
	}
	if err := xml.Unmarshal([]byte(must[string](c, godbus.ObjectPath(path), introspectCall)), &node); err != nil {
		c.t.Fatal(err)
	}
	list := []string{path}
	for _, n := range node.Nodes {
		list = append(list, walk(c, strings.TrimSuffix(path, "/")+"/"+n.Name)...)
	}
	return list
}

func TestErrors(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	cache := pathOf(t, store, uid, "x")
	none := map[string]godbus.Variant{}
	option := func(key string, value any) map[string]godbus.Variant {
		return variants(map[string]any{key: value})
	}
	get, set := propertiesGet, "org.freedesktop.DBus.Properties.Set"
	for _, test := range []struct {
		path godbus.ObjectPath
		call string
		args []any
		want string
	}{
		{"/no", introspectCall, nil, errUnknownObject},
		{rootPath + "/no", introspectCall, nil, errUnknownObject},
		{rootPath + "/user/007", introspectCall, nil, errUnknownObject},
		{rootPath + "/user/4294967296", introspectCall, nil, errUnknownObject},
		{cache + "/x", introspectCall, nil, errUnknownObject},
		{cache[:len(cache)-2] + "00", introspectCall, nil, errUnknownObject},
		{collectionPath(uid) + "/caches", introspectCall, nil, errUnknownObject},
		{"/org", get, []any{"a.b", "C"}, errUnknownInterface},
		{rootPath, "org.kcmd.KCM1.Cache.ListTickets", []any{none}, errUnknownInterface},
		{rootPath, "Manager.Nothing", nil, errUnknownMethod},
		{rootPath, "org.freedesktop.DBus.Peer.Nothing", nil, errUnknownMethod},
		{rootPath, "Manager.GetCollection", []any{"x"}, errInvalidArgs},
		{rootPath, "Manager.GetCollection", nil, errInvalidArgs},
		{rootPath, "Manager.Unsubscribe", []any{uint32(1)}, errInvalidArgs},
		{rootPath, "Manager.Subscribe", []any{option("no", true)}, errInvalidArgs},
		{rootPath, "Manager.Subscribe", []any{option("ticket-signals", "yes")}, errInvalidArgs},
		{rootPath, "Manager.Subscribe", []any{option("collection", godbus.ObjectPath("/x"))}, errUnknownObject},
		{rootPath, "Manager.SubscribeProcess", []any{uint32(1), option("no", true)}, errInvalidArgs},
		{rootPath, "Manager.SubscribeProcess", []any{uint32(0), none}, errProcessUnknown},
		{rootPath, "Manager.GetCache", []any{"nothing"}, errUnknownObject},
		{rootPath, "Manager.GetCache", []any{"00000000-0000-0000-0000-000000000000"}, errUnknownObject},
		{rootPath, "Manager.GetCache", []any{"KCM:"}, errUnknownObject},
		{rootPath, get, []any{"org.kcmd.KCM1.Manager", "Nothing"}, errUnknownProperty},
		{rootPath, get, []any{"org.kcmd.KCM1.Cache", "Name"}, errUnknownInterface},
		{rootPath, get, []any{"org.freedesktop.DBus.Peer", "Name"}, errUnknownProperty},
		{rootPath, set, []any{"org.kcmd.KCM1.Manager", "Version", godbus.MakeVariant("x")}, errPropertyReadOnly},
		{rootPath, set, []any{"org.kcmd.KCM1.Manager", "Nothing", godbus.MakeVariant("x")}, errUnknownProperty},
		{cache, "Cache.ListTickets", []any{option("no", true)}, errInvalidArgs},
		{cache, "Cache.ListTickets", []any{option("limit", "1")}, errInvalidArgs},
		{cache, "Cache.ListTickets", []any{option("state", "good")}, errInvalidArgs},
		{cache, "Cache.GetTicket", []any{"x"}, errNoSuchTicket},
		{cache, "Cache.GetTicket", []any{"00000000-0000-0000-0000-000000000000"}, errNoSuchTicket},
	} {
		if name, text := c.fails(test.path, test.call, test.args...); name != test.want {
			t.Errorf("%s.%s%v: %s (%s), want %s", test.path, test.call, test.args, name, text, test.want)
		}
	}
	_, text := c.fails(cache, "Cache.ListTickets", option("no", true))
	want := `option "no" of type b is not known; allowed: offset (u), limit (u), server (s), state (s), tgt-only (b)`
	if text != want {
		t.Errorf("error text %q, want %q", text, want)
	}
}

func TestStandardInterfaces(t *testing.T) {
	bus := startBus(t, "system")
	startService(t, newStore(t), Config{Address: bus.address})
	c := bus.connect(t)
	if err := c.call("/anywhere", "org.freedesktop.DBus.Peer.Ping").Err; err != nil {
		t.Error(err)
	}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil {
		if got := must[string](c, rootPath, "org.freedesktop.DBus.Peer.GetMachineId"); got != strings.TrimSpace(string(id)) {
			t.Errorf("GetMachineId: %q, want %q", got, id)
		}
	}
	if got := must[map[string]godbus.Variant](c, rootPath, propertiesGetAll, "org.freedesktop.DBus.Peer"); len(got) != 0 {
		t.Errorf("GetAll of Peer: %v", got)
	}
	if got := must[map[string]godbus.Variant](c, rootPath, propertiesGetAll, ""); len(got) != len(introspection.Manager.Properties) {
		t.Errorf("GetAll of no interface: %v", got)
	}
	// Without an interface, and without a reply.
	msg := &godbus.Message{
		Type: godbus.TypeMethodCall,
		Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldDestination: godbus.MakeVariant(BusName),
			godbus.FieldPath:        godbus.MakeVariant(godbus.ObjectPath(rootPath)),
			godbus.FieldMember:      godbus.MakeVariant("ListCollections"),
		},
	}
	if err := (<-c.conn.Send(msg, nil).Done).Err; err != nil {
		t.Errorf("call without an interface: %v", err)
	}
}
