package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	kcm "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

const alice = "alice@EXAMPLE.COM"

// patience is how long a test waits for what must happen.
const patience = time.Minute

// A world is kcmd on a session bus, with a client of each kind.
type world struct {
	t      *testing.T
	ctx    context.Context
	daemon *lab.Daemon
	kcm    *kcm.Client
	bus    *Client
	own    ObjectPath
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: kcmd and a bus are not run")
	}
	if err := lab.Missing("dbus-daemon"); err != nil {
		if lab.Required() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, daemon: l.NewDaemon(program)}
	if w.daemon.Bus, err = l.NewBus(lab.SessionBus, ""); err != nil {
		t.Fatal(err)
	}
	w.start()
	if w.bus, err = Dial(ctx, w.daemon.Bus.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.bus.Close() })
	w.own, err = w.bus.GetCollection(ctx, Own)
	w.check(err)
	return w
}

// start starts kcmd and connects to its socket.
func (w *world) start() {
	w.t.Helper()
	w.check(w.daemon.Start())
	var err error
	w.kcm, err = kcm.Dial(w.ctx, w.daemon.Socket)
	w.check(err)
	w.t.Cleanup(func() { w.kcm.Close() })
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fill stores a TGT and so many service tickets in a cache, and returns its path.
func (w *world) fill(name string, services int) ObjectPath {
	w.t.Helper()
	creds := []*ccache.Credential{storetest.TGT(alice)}
	for i := range services {
		creds = append(creds, storetest.Ticket(alice, fmt.Sprintf("host/%d@EXAMPLE.COM", i)))
	}
	w.check(w.kcm.Replace(name, 0, storetest.Principal(alice), creds))
	cache, err := w.bus.GetCache(w.ctx, name)
	w.check(err)
	return cache
}

func (w *world) name(rest string) string {
	w.t.Helper()
	c, err := w.bus.GetCollectionProperties(w.ctx, w.own)
	w.check(err)
	return fmt.Sprintf("%d%s", c.UID, rest)
}

func (w *world) is(what string, want, got any) {
	w.t.Helper()
	if !reflect.DeepEqual(want, got) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestCalls calls every method.
func TestCalls(t *testing.T) {
	w := newWorld(t)
	first := w.fill(w.name(""), 0)
	second := w.fill(w.name(":second"), 200)

	m, err := w.bus.GetManager(w.ctx)
	w.check(err)
	w.is("manager", []any{"session", w.daemon.Socket, uint32(600), w.own}, []any{m.Mode, m.SocketPath, m.ExpiryWarning, m.OwnCollection})
	list, err := w.bus.ListCollections(w.ctx)
	w.check(err)
	w.is("collections", 1, len(list))
	w.is("path of the collection", w.own, list[0].Path)
	found, err := w.bus.FindCaches(w.ctx, "alice")
	w.check(err)
	w.is("caches of alice", 2, len(found))

	cache, err := w.bus.GetCacheProperties(w.ctx, second)
	w.check(err)
	w.is("cache", []any{"KCM:" + w.name(":second"), alice, "valid", uint32(201), w.own, false},
		[]any{cache.Name, cache.ClientPrincipal, cache.State, cache.TicketCount, cache.Collection, cache.IsDefault})
	w.is("end time", int64(storetest.EndTime), cache.EndTime.Unix())

	w.check(w.bus.SwitchTo(w.ctx, second))
	w.check(w.bus.SetDefault(w.ctx, w.own, first))
	w.check(w.bus.SwitchTo(w.ctx, second))
	objects, err := w.bus.GetManagedObjects(w.ctx)
	w.check(err)
	w.is("objects", []any{1, 2, second}, []any{len(objects.Collections), len(objects.Caches), objects.Collections[w.own].DefaultCache})

	// 200 tickets take three pages.
	n := 0
	var last Ticket
	for ticket, err := range w.bus.Tickets(w.ctx, second, TicketQuery{Offset: 1}) {
		w.check(err)
		n++
		last = ticket
	}
	w.is("service tickets", 200, n)
	page, total, err := w.bus.ListTickets(w.ctx, second, TicketQuery{TGTOnly: true, State: "valid", Limit: 5})
	w.check(err)
	w.is("TGTs", []any{1, uint32(1), true}, []any{len(page), total, page[0].IsTGT})
	ticket, err := w.bus.GetTicket(w.ctx, second, last.ID)
	w.check(err)
	w.is("ticket", last, *ticket)
	removed, err := w.bus.RemoveTickets(w.ctx, second, last.ID, "unknown")
	w.check(err)
	w.is("removed", uint32(1), removed)
	_, err = w.bus.GetTicket(w.ctx, second, last.ID)
	w.is("removed ticket", true, errors.Is(err, ErrNoSuchTicket))

	w.check(w.bus.Subscribe(w.ctx, SubscribeOptions{NoTickets: true, NoExpiry: true, Collection: w.own}))
	w.check(w.bus.Unsubscribe(w.ctx))
	w.check(w.bus.Interactive().SetScope(w.ctx, "own"))
	connections, err := w.bus.SubscribeProcess(w.ctx, uint32(os.Getpid()), SubscribeOptions{})
	w.check(err)
	w.is("connections of this process", uint32(1), connections)
	_, err = w.bus.SubscribeProcess(w.ctx, 1<<22+1, SubscribeOptions{})
	w.is("unknown process", true, errors.Is(err, ErrNoProcess))
	w.is("scope", true, errors.Is(w.bus.SetScope(w.ctx, "mine"), ErrInvalidArgs))

	w.check(w.bus.Destroy(w.ctx, first))
	w.is("destroyed again", true, errors.Is(w.bus.Destroy(w.ctx, first), ErrUnknownObject))
	destroyed, err := w.bus.DestroyAll(w.ctx, w.own)
	w.check(err)
	w.is("destroyed", uint32(1), destroyed)
	w.check(w.daemon.Stop())
	_, err = w.bus.GetManager(w.ctx)
	w.is("without kcmd", true, errors.Is(err, ErrNotRunning))
}

// TestEvents follows a cache from its creation to the restart of kcmd.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	name := w.name("")
	var cache ObjectPath
	known := new(Cache)
	steps := []struct {
		do   func()
		want func(Event) bool // the event that ends the step
	}{
		{
			do: func() {
				w.check(w.kcm.Replace(name, 0, storetest.Principal(alice), []*ccache.Credential{storetest.TGT(alice)}))
			},
			want: func(e Event) bool {
				added, ok := e.(Added)
				if ok && added.Cache != nil {
					cache, known = added.Object, added.Cache
				}
				return ok && added.Cache != nil && known.ClientPrincipal == alice
			},
		},
		{
			do: func() { w.check(w.kcm.Store(name, storetest.Ticket(alice, "host/a@EXAMPLE.COM"))) },
			want: func(e Event) bool {
				added, ok := e.(TicketsAdded)
				return ok && added.Cache == cache && added.Tickets[0].Server == "host/a@EXAMPLE.COM"
			},
		},
		{
			do: func() {
				server := storetest.Principal("host/a@EXAMPLE.COM")
				w.check(w.kcm.RemoveCred(name, &ccache.Match{Server: &server}))
			},
			want: func(e Event) bool {
				removed, ok := e.(TicketsRemoved)
				return ok && removed.Reason == "removed" && removed.Tickets[0].Server == "host/a@EXAMPLE.COM"
			},
		},
		{
			do: func() { w.check(w.kcm.SetKDCOffset(name, 7)) },
			want: func(e Event) bool {
				if changed, ok := e.(Changed); ok && changed.Object == cache {
					w.check(changed.Apply(known))
				}
				return known.KdcOffset == 7
			},
		},
		{
			do:   func() { w.check(w.kcm.Destroy(name)) },
			want: func(e Event) bool { return e == Removed{cache} },
		},
		{
			do:   func() { w.check(w.daemon.Stop()) },
			want: func(e Event) bool { return e == Restarted{false} },
		},
		{
			do:   w.start,
			want: func(e Event) bool { return e == Restarted{true} },
		},
	}
	i := 0
	begin := func() error { steps[0].do(); return nil }
	for e, err := range w.bus.Events(w.ctx, begin) {
		w.check(err)
		if !steps[i].want(e) {
			continue
		}
		if i++; i == len(steps) {
			return
		}
		steps[i].do()
	}
	t.Fatalf("step %d of %d did not end: %v", i+1, len(steps), context.Cause(w.ctx))
}

// TestEventsEnd ends with the connection, and with a reader that cannot begin.
func TestEventsEnd(t *testing.T) {
	w := newWorld(t)
	refused := errors.New("refused")
	for _, err := range w.bus.Events(w.ctx, func() error { return refused }) {
		w.is("error", refused, err)
	}
	for _, err := range w.bus.Events(w.ctx, func() error { return w.bus.Close() }) {
		w.is("a closed connection is an error", true, err != nil)
		return
	}
	t.Error("Events ends without a word on a closed connection")
}
