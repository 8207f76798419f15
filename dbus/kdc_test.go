package dbus

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// A fakeKDC renews tickets for an hour, or fails.
type fakeKDC struct {
	store *ccstore.Store
	err   error
	hold  chan struct{} // if not nil, an answer waits for it
}

// A refusal is an error with a name.
type refusal struct{ name, text string }

func (r *refusal) Error() string     { return r.text }
func (r *refusal) ErrorName() string { return r.name }

func (k *fakeKDC) Renew(ctx context.Context, owner ccstore.Owner, id uuid.UUID) (stored *ccstore.Credential, err error) {
	if k.hold != nil {
		select {
		case <-k.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c, err := k.store.Snapshot(ctx, owner)
	if err != nil {
		return nil, err
	}
	cache, err := c.CacheByUUID(id)
	if err != nil {
		return nil, err
	}
	old := cache.TGT()
	notice := ccstore.Notice{Cache: id, Credential: old}
	if k.err != nil {
		notice.Kind, notice.Reason, notice.Text, notice.Next = ccstore.RenewalFailed, "ClientRevoked", k.err.Error(), ccstore.Never
		err = k.store.Update(ctx, owner, func(tx *ccstore.Tx) error {
			return tx.SetRenewal(id, ccstore.Renewal{Ticket: old.UUID, Next: ccstore.Never, Failures: 1, Reason: "ClientRevoked"})
		})
	} else {
		notice.Kind, notice.Former = ccstore.Renewed, old.UUID
		next := tgt(alice(), time.Now().Add(20*time.Hour))
		err = k.store.Update(ctx, owner, func(tx *ccstore.Tx) (err error) {
			stored, err = tx.Renew(id, old.UUID, next)
			return err
		})
		notice.Credential = stored
	}
	if err != nil {
		return nil, err
	}
	err = k.store.Announce(ctx, owner, func(*ccstore.Collection) []ccstore.Notice { return []ccstore.Notice{notice} })
	if k.err != nil {
		err = k.err
	}
	return stored, err
}

func (k *fakeKDC) Validate(ctx context.Context, owner ccstore.Owner, id uuid.UUID) (*ccstore.Credential, error) {
	return k.Renew(ctx, owner, id)
}

// TestRenew renews a ticket, is refused, and switches renewal off. Signals come before
// the answers.
func TestRenew(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kdc := &fakeKDC{store: store}
	startService(t, store, Config{Address: bus.address, KDC: kdc, Renews: true})
	c := bus.connect(t)
	renewable := tgt(alice(), time.Now().Add(10*time.Hour))
	renewable.RenewTill = uint32(time.Now().Add(100 * time.Hour).Unix())
	renewable.Flags |= ccache.FlagRenewable
	update(t, store, uid, func(tx *ccstore.Tx) { tx.Replace("x", alice(), 0, []*ccache.Credential{renewable}) })
	cache := pathOf(t, store, uid, "x")
	must[objects](c, rootPath, managedObjects)
	noOptions := map[string]godbus.Variant{}
	property := func(name string) any { return c.property(cache, "Cache", name) }
	if s, next := property("RenewalState"), property("NextRenewal"); s != "planned" || next == int64(0) {
		t.Errorf("the renewal is %v at %v", s, next)
	}
	if features := c.property(rootPath, "Manager", "Features").([]string); strings.Join(features, " ") != "auto-renew renew validate" {
		t.Errorf("features %v", features)
	}

	kdc.err = &refusal{"ClientRevoked", "locked\x1b"}
	name, text := c.fails(cache, "Cache.Renew", noOptions)
	if name != "org.kcmd.KCM1.Error.ClientRevoked" || text != `locked\x1B` {
		t.Errorf("refused with %s %q", name, text)
	}
	failed := c.received("RenewalFailed")
	if len(failed) != 1 || failed[0].Body[0] != name || failed[0].Body[2] != int64(0) {
		t.Errorf("signals of a refusal: %v", failed)
	}
	if s, e := property("RenewalState"), property("RenewalError"); s != "impossible" || e != name {
		t.Errorf("the renewal is %v: %v", s, e)
	}

	kdc.err = nil
	end := must[int64](c, cache, "Cache.Renew", noOptions)
	if renewed := c.received("TicketRenewed"); len(renewed) != 1 {
		t.Errorf("signals of a renewal: %v", renewed)
	}
	if property("EndTime") != end || property("RenewalError") != "" {
		t.Errorf("renewed until %v, the ticket ends at %v", end, property("EndTime"))
	}

	set := "org.freedesktop.DBus.Properties.Set"
	for _, test := range []struct {
		iface, name string
		value       any
		want        string
	}{
		{"org.kcmd.KCM1.Cache", "AutoRenew", "no", errInvalidArgs},
		{"org.kcmd.KCM1.Cache", "RenewalState", "off", errPropertyReadOnly},
	} {
		if name, text := c.fails(cache, set, test.iface, test.name, godbus.MakeVariant(test.value)); name != test.want {
			t.Errorf("%s = %v: %s (%s), want %s", test.name, test.value, name, text, test.want)
		}
	}
	if name, _ := c.fails(rootPath, set, "", "AutoRenew", godbus.MakeVariant(false)); name != errUnknownProperty {
		t.Errorf("AutoRenew of the manager: %s", name)
	}
	if name, _ := c.fails(rootPath, set, "org.kcmd.KCM1.Cache", "AutoRenew", godbus.MakeVariant(false)); name != errUnknownInterface {
		t.Errorf("AutoRenew of the manager: %s", name)
	}
	if err := c.call(cache, set, "org.kcmd.KCM1.Cache", "AutoRenew", godbus.MakeVariant(false)).Err; err != nil {
		t.Fatal(err)
	}
	if on, s := property("AutoRenew"), property("RenewalState"); on != false || s != "off" {
		t.Errorf("switched off: %v, %v", on, s)
	}
}

// TestRenewLeaves ends a renewal whose caller leaves the bus, and serves the calls of
// the user meanwhile.
func TestRenewLeaves(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kdc := &fakeKDC{store: store, hold: make(chan struct{})}
	startService(t, store, Config{Address: bus.address, KDC: kdc})
	kinit(t, store, uid, "x", alice())
	cache := pathOf(t, store, uid, "x")
	c := bus.connect(t)
	for range 3 { // more than may work at once
		leaves := bus.connect(t)
		leaves.conn.Object(BusName, cache).Go("org.kcmd.KCM1.Cache.Renew", 0, nil, map[string]godbus.Variant{})
		leaves.conn.Close()
		waits := bus.connect(t)
		waits.conn.Object(BusName, cache).Go("org.kcmd.KCM1.Cache.Renew", 0, nil, map[string]godbus.Variant{})
	}
	must[uint32](c, cache, "Cache.RemoveTickets", []string{})
	close(kdc.hold)
}

// TestRenewOthers does not let a user renew the tickets of another one.
func TestRenewOthers(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	startService(t, store, Config{Address: bus.address, KDC: &fakeKDC{store: store}})
	kinit(t, store, 1, "x", alice())
	cache := pathOf(t, store, 1, "x")
	c := bus.connectAs(t, 2)
	for _, call := range []string{"Cache.Renew", "Cache.Validate"} {
		args := []any{map[string]godbus.Variant{}}[:1]
		if call == "Cache.Validate" {
			args = nil
		}
		if name, _ := c.fails(cache, call, args...); name != errUnknownObject {
			t.Errorf("%s of another user: %s", call, name)
		}
	}
	if name, _ := c.fails(cache, "org.freedesktop.DBus.Properties.Set", "org.kcmd.KCM1.Cache", "AutoRenew", godbus.MakeVariant(false)); name != errUnknownObject {
		t.Errorf("AutoRenew of another user: %s", name)
	}
}

// TestNoKDC has no way to a KDC.
func TestNoKDC(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	kinit(t, store, uid, "x", alice())
	c := bus.connect(t)
	cache := pathOf(t, store, uid, "x")
	if name, _ := c.fails(cache, "Cache.Renew", map[string]godbus.Variant{}); name != errNotSupported {
		t.Errorf("Renew: %s", name)
	}
	if s := c.property(cache, "Cache", "RenewalState"); s != "off" {
		t.Errorf("the renewal is %v", s)
	}
}
