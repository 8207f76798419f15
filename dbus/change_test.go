package dbus

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// TestChanges goes through the calls that change something. The signals of the
// change come before the answer, which does not wait for the end of the gathering.
func TestChanges(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	end := time.Now().Add(10 * time.Hour)
	update(t, store, uid, func(tx *ccstore.Tx) {
		tx.Replace("x", alice(), 0, []*ccache.Credential{
			withStart(tgt(alice(), end), time.Now()), configEntry(), credential(alice(), end, "host", "a"), credential(alice(), end, "host", "b"),
		})
	})
	kinit(t, store, uid, "y", alice())
	c := bus.connect(t)
	own := collectionPath(uid)
	x, y := pathOf(t, store, uid, "x"), pathOf(t, store, uid, "y")
	tickets, _ := listOf(c, x, nil)
	id := func(i int) string { return tickets[i]["id"].Value().(string) }
	configID := idOfConfig(t, store, uid, "x")
	must[objects](c, rootPath, managedObjects)
	fastest := time.Hour
	for _, step := range []struct {
		path godbus.ObjectPath
		call string
		args []any
		want []any
		told []string
	}{
		{x, "Cache.SwitchTo", nil, nil, []string{"Cache [IsDefault]", "Collection [DefaultCache DefaultCacheName]"}},
		{x, "Cache.SwitchTo", nil, nil, nil},
		{userPath + "/self", "Collection.SetDefault", []any{y}, nil,
			[]string{"Cache [IsDefault]", "Cache [IsDefault]", "Collection [Caches DefaultCache DefaultCacheName]"}},
		{x, "Cache.RemoveTickets", []any{[]string{"x", "00000000-0000-4000-8000-000000000000", configID}}, []any{uint32(0)}, nil},
		{x, "Cache.RemoveTickets", []any{[]string{id(1), id(2), id(1), configID}}, []any{uint32(2)}, []string{"Cache [TicketCount]", "TicketsRemoved 2 removed"}},
		{x, "Cache.Destroy", nil, nil, []string{"Collection [Caches]", "Removed"}},
		{own, "Collection.DestroyAll", nil, []any{uint32(1)}, []string{"Collection [Caches DefaultCache DefaultCacheName NextExpiry]", "Removed"}},
		{own, "Collection.DestroyAll", nil, []any{uint32(0)}, nil},
	} {
		c.forget()
		start := time.Now()
		call := c.call(step.path, step.call, step.args...)
		fastest = min(fastest, time.Since(start))
		if call.Err != nil {
			t.Fatalf("%s: %v", step.call, call.Err)
		}
		if fmt.Sprint(call.Body) != fmt.Sprint(step.want) {
			t.Errorf("%s%v = %v, want %v", step.call, step.args, call.Body, step.want)
		}
		var before []*godbus.Signal
		for _, s := range c.received() {
			if s.Sequence < call.ResponseSequence {
				before = append(before, s)
			}
		}
		if diff := cmp.Diff(step.told, tell(withoutLastChanged(before))); diff != "" {
			t.Errorf("%s: signals before the answer (-want +got):\n%s", step.call, diff)
		}
	}
	if fastest > gathering/4 { // a busy machine makes some of them slow, but not all
		t.Errorf("the fastest took %v", fastest)
	}
	for _, step := range []struct {
		path godbus.ObjectPath
		call string
		args []any
		want string
	}{
		{x, "Cache.Destroy", nil, errUnknownObject},
		{x, "Cache.SwitchTo", nil, errUnknownObject},
		{x, "Cache.RemoveTickets", []any{[]string{}}, errUnknownObject},
		{own, "Collection.SetDefault", []any{x}, errUnknownObject},
		{own, "Collection.SetDefault", []any{own}, errUnknownObject},
		{own, "Collection.SetDefault", []any{godbus.ObjectPath("/")}, errUnknownObject},
		{rootPath, "Manager.SetScope", []any{"everything"}, errInvalidArgs},
	} {
		if name, text := c.fails(step.path, step.call, step.args...); name != step.want {
			t.Errorf("%s%v: %s (%s), want %s", step.call, step.args, name, text, step.want)
		}
	}
}

// idOfConfig returns the id of a credential that is no ticket.
func idOfConfig(t *testing.T, store *ccstore.Store, uid uint32, name string) string {
	t.Helper()
	var id string
	err := store.View(t.Context(), owner(uid), func(c *ccstore.Collection) error {
		one, err := c.Cache(name)
		if err != nil {
			return err
		}
		for cred := range one.Credentials() {
			if cred.IsConfig() {
				id = cred.UUID.String()
			}
		}
		return nil
	})
	if err != nil || id == "" {
		t.Fatalf("no configuration entry: %v", err)
	}
	return id
}

// TestLimits: limits are what the service was told.
func TestLimits(t *testing.T) {
	bus := startBus(t, "system")
	startService(t, newStore(t), Config{Address: bus.address, Limits: Limits{Caches: 1, Tickets: 2, Bytes: 1 << 40}})
	c := bus.connect(t)
	for name, want := range map[string]any{"MaxCaches": uint32(1), "MaxTickets": uint32(2), "MaxBytes": uint64(1 << 40)} {
		if got := c.property(userPath+"/self", "Collection", name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// TestExpiry has a TGT come to its end, with the clock set back in between.
func TestExpiry(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	start := time.Now().Unix() + 10_000
	clock := keepTime(t, store, start)
	startService(t, store, Config{Address: bus.address, Clock: clock})
	end := start + 3600
	until := func(end int64) *ccache.Credential {
		return withStart(tgt(alice(), time.Unix(end, 0)), time.Unix(start-100, 0))
	}
	update(t, store, uid, func(tx *ccstore.Tx) {
		tx.Replace("long", alice(), 3, []*ccache.Credential{until(end), credential(alice(), time.Unix(start+700, 0), "host", "a")})
		// These are over, or nearly, when the service is first asked.
		tx.Replace("over", alice(), 0, []*ccache.Credential{until(start - 5)})
		tx.Replace("nearly", alice(), 0, []*ccache.Credential{until(start + 5)})
	})
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	quiet := bus.connect(t)
	subscribeQuiet := func() {
		t.Helper()
		if err := quiet.call(rootPath, "Manager.Subscribe", variants(map[string]any{"ticket-signals": false})).Err; err != nil {
			t.Fatal(err)
		}
	}
	subscribeQuiet()
	names := map[godbus.ObjectPath]string{pathOf(t, store, uid, "long"): "long", pathOf(t, store, uid, "over"): "over", pathOf(t, store, uid, "nearly"): "nearly"}
	for _, step := range []struct {
		what string
		at   int64
		do   func(tx *ccstore.Tx)
		want string
	}{
		{"at first", start, nil, ""},
		{"one ends", start + 5, nil, "nearly expired"},
		{"the other will soon, by the KDC's clock", end - 603, nil, "long expiring 600"},
		{"a second on", end - 602, nil, ""},
		{"the clock is set back", start, nil, ""},
		{"and on again", end - 100, nil, ""},
		{"it ends", end + 7, nil, "long expired"},
		{"back", start, nil, ""},
		{"a new one", start + 1, func(tx *ccstore.Tx) { tx.Replace("long", alice(), 0, []*ccache.Credential{until(end)}) }, ""},
		{"ends while nobody looks", end, nil, "long expired"},
		{"a short one", end + 1, func(tx *ccstore.Tx) { tx.Replace("over", alice(), 0, []*ccache.Credential{until(end + 100)}) }, ""},
		{"ends", end + 100, nil, "over expired"},
		{"a ticket that was renewed", end + 200, func(tx *ccstore.Tx) {
			tx.Replace("over", alice(), 0, []*ccache.Credential{until(end + 2000)})
		}, ""},
		{"and again", end + 300, func(tx *ccstore.Tx) {
			tx.Replace("over", alice(), 0, []*ccache.Credential{until(end + 4000)})
		}, ""},
		{"when the old one would end", end + 2100, nil, ""},
	} {
		c.forget()
		announced := func(what string, after func()) {
			sets := clock.Sets()
			after()
			eventually(t, what+" is announced", func() bool { return clock.Sets() > sets })
		}
		announced("the time", func() { clock.Set(time.Unix(step.at, 0)) })
		if step.do != nil {
			announced("the change", func() { update(t, store, uid, step.do) })
		}
		subscribeQuiet()                           // others hear before of what is pending
		must[objects](c, rootPath, managedObjects) // comes after the signals
		var got []string
		for _, s := range c.received("TicketExpiring", "TicketExpired") {
			ticket := s.Body[0].(map[string]godbus.Variant)
			said := names[s.Path] + " " + ticket["state"].Value().(string)
			if len(s.Body) > 1 {
				said += fmt.Sprint(" ", s.Body[1])
			}
			got = append(got, said)
		}
		if got := strings.Join(got, ", "); got != step.want {
			t.Errorf("%s: told %q, want %q", step.what, got, step.want)
		}
	}
	if got := quiet.received("TicketExpiring", "TicketExpired"); len(got) != 0 {
		t.Errorf("%d ticket signals, though not asked for", len(got))
	}
}

// TestExpiryOverRestart: what has expired is not told again by the next daemon.
func TestExpiryOverRestart(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	update(t, store, uid, func(tx *ccstore.Tx) {
		tx.Replace("x", alice(), 0, []*ccache.Credential{withStart(tgt(alice(), time.Now().Add(-time.Second)), time.Now().Add(-time.Hour))})
	})
	c := bus.connect(t)
	clock := keepTime(t, store, time.Now().Unix())
	for range 2 {
		s := newService(t, store, Config{Address: bus.address, Clock: clock})
		stop := run(t, s)
		wait(t, s.Ready(), "the name is owned")
		sets := clock.Sets()
		must[objects](c, rootPath, managedObjects)
		eventually(t, "the announcer has looked", func() bool { return clock.Sets() > sets })
		if err := c.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{}).Err; err != nil {
			t.Fatal(err)
		}
		stop()
	}
	if got := c.received("TicketExpiring", "TicketExpired"); len(got) != 0 {
		t.Errorf("told again: %v", got[0])
	}
}
