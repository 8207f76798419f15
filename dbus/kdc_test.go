package dbus

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
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
	hold  chan struct{} // if not nil, an answer waits for it

	mu       sync.Mutex
	err      error
	requests []string
}

// refuse has requests from now on fail.
func (k *fakeKDC) refuse(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *fakeKDC) refused() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// A refusal is an error with a name.
type refusal struct{ name, text string }

func (r *refusal) Error() string     { return r.text }
func (r *refusal) ErrorName() string { return r.name }

func (k *fakeKDC) Verify(ctx context.Context, owner ccstore.Owner, id uuid.UUID, service string, optional bool) error {
	k.note(fmt.Sprintf("verify %s %v", service, optional))
	return k.refused()
}

func (k *fakeKDC) Acquire(ctx context.Context, owner ccstore.Owner, a Acquisition) (uuid.UUID, error) {
	read := a.Keytab
	if a.Password != nil {
		read = a.Password
	}
	secret, err := read(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	k.note(fmt.Sprintf("acquire %s %d %s %v %d", a.Client, len(secret), a.Cache, a.IfNeeded, a.Lifetime))
	var cache *ccstore.Cache
	err = k.store.Update(ctx, owner, func(tx *ccstore.Tx) error {
		tx.Replace("new", alice(), 0, []*ccache.Credential{tgt(alice(), time.Now().Add(time.Hour))})
		cache, err = tx.Cache("new")
		return err
	})
	if err != nil {
		return uuid.Nil, err
	}
	return cache.UUID, k.refused()
}

func (k *fakeKDC) ChangePassword(ctx context.Context, owner ccstore.Owner, client string, old, next Secret) error {
	var lengths []int
	for _, read := range []Secret{old, next} {
		secret, err := read(ctx)
		if err != nil {
			return err
		}
		lengths = append(lengths, len(secret))
	}
	k.note(fmt.Sprintf("change %s %v", client, lengths))
	return k.refused()
}

func (k *fakeKDC) note(request string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, request)
}

// taken returns the requests since it was called last.
func (k *fakeKDC) taken() (requests []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	requests, k.requests = k.requests, nil
	return requests
}

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
	failure := k.refused()
	if failure != nil {
		notice.Kind, notice.Reason, notice.Text, notice.Next = ccstore.RenewalFailed, "ClientRevoked", failure.Error(), ccstore.Never
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
	if failure != nil {
		err = failure
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
	if features := c.property(rootPath, "Manager", "Features").([]string); strings.Join(features, " ") != "auto-renew renew validate verify" {
		t.Errorf("features %v", features)
	}

	kdc.refuse(&refusal{"ClientRevoked", "locked\x1b"})
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

	kdc.refuse(nil)
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
	unknown := []string{errUnknownProperty, errUnknownInterface}
	if os.Getuid() != 0 {
		unknown = []string{errAccessDenied, errAccessDenied} // that comes first
	}
	for i, iface := range []string{"", "org.kcmd.KCM1.Cache"} {
		if name, _ := c.fails(rootPath, set, iface, "AutoRenew", godbus.MakeVariant(false)); name != unknown[i] {
			t.Errorf("AutoRenew of the manager, interface %q: %s, want %s", iface, name, unknown[i])
		}
	}
	if err := c.call(cache, set, "org.kcmd.KCM1.Cache", "AutoRenew", godbus.MakeVariant(false)).Err; err != nil {
		t.Fatal(err)
	}
	if on, s := property("AutoRenew"), property("RenewalState"); on != false || s != "off" {
		t.Errorf("switched off: %v, %v", on, s)
	}
}

// TestRenewWaits serves later calls of a connection, and those of others, while a KDC
// does not answer, and ends what a caller waits for that leaves the bus.
func TestRenewWaits(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kdc := &fakeKDC{store: store, hold: make(chan struct{})}
	startService(t, store, Config{Address: bus.address, KDC: kdc})
	kinit(t, store, uid, "x", alice())
	cache := pathOf(t, store, uid, "x")
	c := bus.connect(t)
	renew := func(c *tester) *godbus.Call {
		return c.conn.Object(BusName, cache).Go("org.kcmd.KCM1.Cache.Renew", 0, make(chan *godbus.Call, 1), map[string]godbus.Variant{})
	}
	for range 3 { // more than may work at once
		leaves := bus.connect(t)
		renew(leaves)
		leaves.conn.Close()
		renew(bus.connect(t))
	}
	waits := renew(c)
	must[uint32](c, cache, "Cache.RemoveTickets", []string{})
	select {
	case <-waits.Done:
		t.Errorf("an answer without a KDC: %v", waits.Err)
	default:
	}
	close(kdc.hold)
	<-waits.Done // the first one has renewed the ticket, or this one
}

// TestRenewOthers does not let a user renew the tickets of another one.
func TestRenewOthers(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	startService(t, store, Config{Address: bus.address, KDC: &fakeKDC{store: store}, Acquires: true})
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
	noOptions := map[string]godbus.Variant{}
	for call, args := range map[string][]any{
		"Cache.Verify":                   {noOptions},
		"Collection.AcquireWithPassword": {"alice", pipeWith(t, "x"), noOptions},
		"Collection.AcquireWithKeytab":   {"alice", pipeWith(t, "x"), noOptions},
		"Collection.ChangePassword":      {"alice", pipeWith(t, "x"), pipeWith(t, "y")},
	} {
		path := cache
		if strings.HasPrefix(call, "Collection") {
			path = collectionPath(1)
		}
		if name, _ := c.fails(path, call, args...); name != errUnknownObject {
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
	noOptions := map[string]godbus.Variant{}
	for _, call := range []string{"Cache.Renew", "Cache.Verify"} {
		if name, _ := c.fails(cache, call, noOptions); name != errNotSupported {
			t.Errorf("%s: %s", call, name)
		}
	}
	if name, _ := c.fails(collectionPath(uid), "Collection.AcquireWithPassword", "alice", pipeWith(t, "x"), noOptions); name != errNotSupported {
		t.Errorf("AcquireWithPassword: %s", name)
	}
	if s := c.property(cache, "Cache", "RenewalState"); s != "off" {
		t.Errorf("the renewal is %v", s)
	}
}
