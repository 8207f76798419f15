package dbus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/dbus/view"
)

// tell describes signals by what matters of them.
func tell(list []*godbus.Signal) []string {
	var out []string
	for _, s := range list {
		what := strings.TrimPrefix(s.Name[strings.LastIndexByte(s.Name, '.')+1:], "Interfaces")
		switch what {
		case "PropertiesChanged":
			what = fmt.Sprintf("%s %v", s.Body[0].(string)[len("org.kcmd.KCM1."):], slices.Sorted(maps.Keys(s.Body[1].(map[string]godbus.Variant))))
		case "TicketsAdded":
			what = fmt.Sprintf("TicketsAdded %d", len(s.Body[0].([]map[string]godbus.Variant)))
		case "TicketsRemoved":
			what = fmt.Sprintf("TicketsRemoved %d %s", reflect.ValueOf(s.Body[0]).Len(), s.Body[1])
		}
		out = append(out, what)
	}
	return out
}

// TestSignals goes through the life of a cache.
func TestSignals(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	clock := keepTime(t, store, 1_800_000_000)
	now := clock.Now
	startService(t, store, Config{Address: bus.address, Clock: clock})
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	name := fmt.Sprint(uid)
	inTenHours := now().Add(10 * time.Hour)
	host := credential(alice(), inTenHours, "host", "a.example.com")
	cache := godbus.ObjectPath("/")
	for _, step := range []struct {
		what string
		do   func(tx *ccstore.Tx)
		want []string
	}{
		{"kinit", func(tx *ccstore.Tx) {
			tx.Initialize(name, alice())
			tx.Store(name, withStart(tgt(alice(), inTenHours), now()))
		}, []string{"Added", "TicketsAdded 1", "Collection [Caches DefaultCache DefaultCacheName NextExpiry]"}},
		{"kvno", func(tx *ccstore.Tx) { tx.Store(name, host) },
			[]string{"Cache [TicketCount]", "TicketsAdded 1"}},
		{"kvno again", func(tx *ccstore.Tx) { tx.Store(name, host) },
			[]string{"TicketsRemoved 1 replaced", "TicketsAdded 1"}},
		{"a ticket that comes and goes", func(tx *ccstore.Tx) {
			other := credential(alice(), inTenHours, "host", "b.example.com")
			tx.Store(name, other)
			if _, err := tx.Remove(name, &ccache.Match{Server: &other.Server}); err != nil {
				t.Error(err)
			}
		}, nil},
		{"a cache that comes and goes", func(tx *ccstore.Tx) {
			tx.Replace("x", alice(), 0, []*ccache.Credential{host})
			if err := tx.Destroy("x"); err != nil {
				t.Error(err)
			}
		}, nil},
		{"a configuration entry", func(tx *ccstore.Tx) {
			tx.Store(name, configEntry())
		}, nil},
		{"removing a ticket", func(tx *ccstore.Tx) {
			if _, err := tx.Remove(name, &ccache.Match{Server: &host.Server}); err != nil {
				t.Error(err)
			}
		}, []string{"Cache [TicketCount]", "TicketsRemoved 1 removed"}},
		{"kinit again", func(tx *ccstore.Tx) {
			tx.Replace(name, alice(), 5, []*ccache.Credential{withStart(tgt(alice(), inTenHours.Add(time.Hour)), now())})
		}, []string{"Cache [EndTime KdcOffset LastEndTime RenewUntil]", "TicketsRemoved 1 reinitialized", "TicketsAdded 1", "Collection [NextExpiry]"}},
		{"kswitch", func(tx *ccstore.Tx) {
			tx.SetDefault("other")
		}, []string{"Cache [IsDefault]", "Collection [DefaultCache DefaultCacheName]"}},
		{"kdestroy", func(tx *ccstore.Tx) {
			if err := tx.Destroy(name); err != nil {
				t.Error(err)
			}
		}, []string{"Collection [Caches NextExpiry]", "Removed"}},
	} {
		c.forget()
		update(t, store, uid, step.do)
		c.call(cache, "Cache.RemoveTickets", []string{}) // is answered after the signals
		if cache == "/" {
			cache = pathOf(t, store, uid, name)
			must[objects](c, rootPath, managedObjects)
		}
		got := tell(withoutLastChanged(c.received()))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}

// withoutLastChanged drops the property that the machine's clock is in.
func withoutLastChanged(list []*godbus.Signal) []*godbus.Signal {
	return slices.DeleteFunc(list, func(s *godbus.Signal) bool {
		if !strings.HasSuffix(s.Name, "PropertiesChanged") {
			return false
		}
		changed := s.Body[1].(map[string]godbus.Variant)
		delete(changed, "LastChanged")
		return len(changed) == 0
	})
}

func configEntry() *ccache.Credential {
	return &ccache.Credential{
		Client: alice(),
		Server: ccache.Principal{Realm: "X-CACHECONF:", Components: []string{"krb5_ccache_conf_data", "fast_avail"}},
		Ticket: []byte("yes"),
	}
}

// A step is a time, and the state of a ticket from then on.
type step struct {
	at   int64
	want string
}

// TestTime has tickets go through their states while nothing is stored.
func TestTime(t *testing.T) {
	const start, end = 1_800_000_000, 1_800_036_000
	// The KDC's clock is three seconds ahead.
	for flags, steps := range map[ccache.TicketFlags][]step{
		ccache.FlagInitial: {
			{start - 10, "valid"}, {end - 3 - 600, "expiring"}, {end - 3, "expired"}, {start, "valid"},
		},
		ccache.FlagInvalid | ccache.FlagInitial: {
			{start - 10, "not-yet-valid"}, {start - 3, "invalid"}, {end - 3, "expired"}, {start, "invalid"}, {start - 100, "not-yet-valid"},
		},
	} {
		t.Run(steps[0].want, func(t *testing.T) { testTime(t, flags, start, end, steps) })
	}
}

func testTime(t *testing.T, flags ccache.TicketFlags, start, end int64, steps []step) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	clock := keepTime(t, store, steps[0].at)
	startService(t, store, Config{Address: bus.address, Clock: clock})
	c := bus.connect(t)
	ticket := withStart(tgt(alice(), time.Unix(end, 0)), time.Unix(start, 0))
	ticket.Flags = flags
	update(t, store, uid, func(tx *ccstore.Tx) { tx.Replace("x", alice(), 3, []*ccache.Credential{ticket}) })
	cache := pathOf(t, store, uid, "x")
	if err := c.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{}).Err; err != nil {
		t.Fatal(err)
	}
	if got := c.property(cache, "Cache", "State"); got != steps[0].want {
		t.Fatalf("State %v at first, want %s", got, steps[0].want)
	}
	for _, step := range steps[1:] {
		c.forget()
		clock.Set(time.Unix(step.at, 0))
		eventually(t, "the state changes", func() bool {
			for _, s := range c.received("PropertiesChanged") {
				if state, ok := s.Body[1].(map[string]godbus.Variant)["State"]; ok && s.Path == cache {
					if state.Value() != step.want {
						t.Errorf("announced %v, want %s", state, step.want)
					}
					return true
				}
			}
			return false
		})
		if got := c.property(cache, "Cache", "State"); got != step.want {
			t.Errorf("State %v, want %s", got, step.want)
		}
	}
}

// TestManyStores stores 10,000 tickets and expects a handful of signals.
func TestManyStores(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	start := time.Now()
	const n = 10_000
	for i := range n {
		update(t, store, uid, func(tx *ccstore.Tx) {
			if err := tx.Store("x", credential(alice(), start.Add(time.Hour), "host", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	windows := int(time.Since(start)/gathering) + 2
	cache := pathOf(t, store, uid, "x")
	if got := c.property(cache, "Cache", "TicketCount"); got != uint32(n+1) {
		t.Errorf("TicketCount %v", got)
	}
	got := c.received()
	if len(got) > 2*windows {
		t.Errorf("%d signals in %d windows", len(got), windows)
	}
	for _, s := range c.received("TicketsAdded") {
		if listed := len(s.Body[0].([]map[string]godbus.Variant)); listed > view.MaxTickets {
			t.Errorf("%d tickets in a signal", listed)
		}
	}
	t.Logf("%d signals, %v for the stores", len(got), time.Since(start))
}

// A model is what a client makes of a snapshot and the signals after it.
type model struct {
	c       *tester
	objects objects
	after   godbus.Sequence
}

// snapshot begins a model, and returns it with the call's place among messages.
func snapshot(c *tester) *model {
	c.t.Helper()
	call := c.call(rootPath, managedObjects)
	m := &model{c: c, after: call.ResponseSequence}
	if err := call.Store(&m.objects); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// fresh returns the objects of a snapshot taken now, as at does, and the call's
// place among messages.
func (m *model) fresh() (objects, godbus.Sequence) {
	m.c.t.Helper()
	call := m.c.call(rootPath, managedObjects)
	fresh := &model{c: m.c, after: call.ResponseSequence}
	if err := call.Store(&fresh.objects); err != nil {
		m.c.t.Fatal(err)
	}
	return fresh.at(call.ResponseSequence), call.ResponseSequence
}

// difference returns how what the client knows differs from a fresh snapshot.
func (m *model) difference() string {
	m.c.t.Helper()
	fresh, before := m.fresh()
	return cmp.Diff(fresh, m.at(before), cmp.AllowUnexported(godbus.Variant{}, godbus.Signature{}))
}

// at returns the objects of m with all signals applied that came before another
// message. Properties that are not announced are left out.
func (m *model) at(before godbus.Sequence) objects {
	o := make(objects)
	for path, interfaces := range m.objects {
		o[path] = copyInterfaces(interfaces)
	}
	for _, s := range m.c.received() {
		if s.Sequence <= m.after || before != 0 && s.Sequence >= before {
			continue
		}
		switch s.Name {
		case "org.freedesktop.DBus.ObjectManager.InterfacesAdded":
			o[s.Body[0].(godbus.ObjectPath)] = copyInterfaces(s.Body[1].(map[string]map[string]godbus.Variant))
		case "org.freedesktop.DBus.ObjectManager.InterfacesRemoved":
			delete(o, s.Body[0].(godbus.ObjectPath))
		case "org.freedesktop.DBus.Properties.PropertiesChanged":
			if o[s.Path] == nil {
				m.c.t.Errorf("%s changed, which is not there", s.Path)
				continue
			}
			maps.Copy(o[s.Path][s.Body[0].(string)], s.Body[1].(map[string]godbus.Variant))
		}
	}
	for _, interfaces := range o {
		for _, name := range []string{"TicketCount", "BytesUsed"} {
			delete(interfaces["org.kcmd.KCM1.Collection"], name)
		}
	}
	return o
}

func copyInterfaces(interfaces map[string]map[string]godbus.Variant) map[string]map[string]godbus.Variant {
	c := make(map[string]map[string]godbus.Variant)
	for name, properties := range interfaces {
		c[name] = maps.Clone(properties)
	}
	return c
}

// TestSnapshotAndSignals changes the collections of several users at random, moves
// the clock, and has clients take snapshots. One of them is root, who sees all
// collections or, for a while, only its own. At any moment a snapshot with the
// signals since is equal to a new snapshot.
func TestSnapshotAndSignals(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uids := []uint32{uint32(os.Geteuid())}
	if uids[0] == 0 {
		uids = append(uids, aliceUID, bobUID)
	}
	clock := keepTime(t, store, time.Now().Unix())
	startService(t, store, Config{Address: bus.address, Clock: clock})

	stop := make(chan struct{})
	var users sync.WaitGroup
	defer users.Wait()
	defer close(stop)
	users.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				clock.Set(clock.Now().Add(time.Duration(rand.IntN(100)-10) * time.Second))
			}
		}
	})
	for _, uid := range uids {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(uid), 1))
			for {
				select {
				case <-stop:
					return
				case <-time.After(pause(r)):
				}
				update(t, store, uid, func(tx *ccstore.Tx) { anything(r, tx, clock.Now().Unix()) })
			}
		})
	}
	// Users come, whom root sees.
	users.Go(func() {
		for uid := uint32(3000); ; uid++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
			}
			kinit(t, store, uid, fmt.Sprint(uid), alice())
		}
	})
	var models []*model
	for _, uid := range uids {
		models = append(models, snapshot(bus.connectAs(t, uid)))
	}
	for round := range 30 {
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		m := models[round%len(models)]
		switch rand.IntN(6) {
		case 0: // for others than root it fails
			m.c.call(rootPath, "Manager.SetScope", []string{"own", "all"}[rand.IntN(2)])
		case 1:
			m.c.call(userPath+"/self", "Collection.DestroyAll")
		}
		if diff := m.difference(); diff != "" {
			t.Fatalf("round %d: snapshot (-) and snapshot with signals (+) differ:\n%s", round, diff)
		}
		if round%5 == 0 {
			models = append(models, snapshot(bus.connectAs(t, uids[rand.IntN(len(uids))])))
		}
	}
	total := 0
	for _, m := range models {
		total += len(m.c.received())
	}
	t.Logf("%d clients, %d signals", len(models), total)
}

// pause returns the time between two changes of a user: mostly short, so that
// changes are gathered, sometimes long enough that one change is alone.
func pause(r *rand.Rand) time.Duration {
	if r.IntN(4) == 0 {
		return time.Duration(r.IntN(300)) * time.Millisecond
	}
	return time.Duration(r.IntN(10)) * time.Millisecond
}

// anything makes a random change to a collection.
func anything(r *rand.Rand, tx *ccstore.Tx, now int64) {
	name := fmt.Sprint("c", r.IntN(3))
	end := time.Unix(now+int64(r.IntN(1300)), 0)
	switch r.IntN(8) {
	case 0:
		tx.Initialize(name, alice())
	case 1:
		tx.Replace(name, alice(), int32(r.IntN(3)), []*ccache.Credential{tgt(alice(), end)})
	case 2:
		_ = tx.Destroy(name) // there may be none, here and below
	case 3:
		tx.SetDefault(name)
	case 4:
		_ = tx.SetKDCOffset(name, int32(r.IntN(100)))
	case 5:
		_ = tx.Store(name, tgt(alice(), end))
	case 6:
		_ = tx.Store(name, credential(alice(), end, "host", fmt.Sprint(r.IntN(5))))
	case 7:
		_, _ = tx.Remove(name, &ccache.Match{})
	}
}

// TestAlias: a proxy of an object below /user/self hears of its changes, on both
// of its paths; nobody else does on that.
func TestAlias(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	kinit(t, store, uid, "y", alice())
	startService(t, store, Config{Address: bus.address})
	c, other := bus.connect(t), bus.connect(t)
	must[objects](other, rootPath, managedObjects)
	must[map[string]godbus.Variant](c, userPath+"/self", propertiesGetAll, "org.kcmd.KCM1.Collection")
	cache := pathOf(t, store, uid, "x")
	if err := c.call(cache, "Cache.SwitchTo").Err; err != nil {
		t.Fatal(err)
	}
	if uid == 0 { // root hears of another's collection, which has no alias
		kinit(t, store, aliceUID, "1", alice())
		kinit(t, store, aliceUID, "1:x", alice())
		if err := c.call(pathOf(t, store, aliceUID, "1:x"), "Cache.SwitchTo").Err; err != nil {
			t.Fatal(err)
		}
	}
	byPath := make(map[godbus.ObjectPath]int)
	for _, s := range c.received("PropertiesChanged") {
		byPath[s.Path]++
	}
	self := func(path godbus.ObjectPath) godbus.ObjectPath {
		return godbus.ObjectPath(strings.Replace(string(path), string(collectionPath(uid)), userPath+"/self", 1))
	}
	for _, path := range []godbus.ObjectPath{collectionPath(uid), cache} {
		if byPath[path] == 0 || byPath[path] != byPath[self(path)] {
			t.Errorf("%d signals of %s, %d of %s", byPath[path], path, byPath[self(path)], self(path))
		}
	}
	// Subscribe chooses signals, and not from which path they come.
	c.forget()
	if err := c.call(rootPath, "Manager.Subscribe", variants(map[string]any{"tickets": false})).Err; err != nil {
		t.Fatal(err)
	}
	if err := c.call(pathOf(t, store, uid, "y"), "Cache.SwitchTo").Err; err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(c.received("PropertiesChanged"), func(s *godbus.Signal) bool { return s.Path == self(cache) }) {
		t.Errorf("no signal of %s after Subscribe", self(cache))
	}
	must[objects](other, rootPath, managedObjects)
	for _, s := range other.received() {
		if strings.HasPrefix(string(s.Path), userPath+"/self") {
			t.Errorf("%s of %s for a subscriber that does not use the alias", s.Name, s.Path)
		}
	}
}
