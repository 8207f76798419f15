package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/dbus/client"
)

func newWatch(o *options) *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "print what happens to the caches, line by line",
		Long: `kcmctl watch prints a line for each event of the caches, until it is interrupted.
It goes on after a restart of kcmd, and then prints what changed meanwhile. With
--json each line is an object; the first has the event "watching". With
--format waybar each line is what a custom module of waybar shows, and comes when that
changes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyWaybar(cmd, format); err != nil {
				return err
			}
			ctx := cmd.Context()
			return o.with(ctx, func(b *bus) error {
				if format != "" {
					return followPanel(ctx, b)
				}
				w := &watcher{b: b, json: o.json}
				for e, err := range b.Events(ctx, func() error { return w.begin(ctx) }) {
					if err == nil {
						err = w.event(ctx, e)
					}
					if err != nil {
						return explain("follow kcmd", err)
					}
				}
				return ctx.Err()
			})
		},
	}
	addWaybar(cmd, &format)
	return cmd
}

// A watcher prints events. It knows the caches as the events before left them.
type watcher struct {
	b     *bus
	json  bool
	known map[client.ObjectPath]*client.Cache
}

// begin subscribes, and reads what is there.
func (w *watcher) begin(ctx context.Context) error {
	var err error
	if w.known, err = w.read(ctx); err != nil {
		return err
	}
	names := []string{}
	for _, c := range w.known {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return w.print(render.Event{Event: "watching", Bus: w.b.name, Caches: names})
}

// read subscribes to the collection and returns its caches. What happens after it is
// an event, and what an event before it said is in what it returns.
func (w *watcher) read(ctx context.Context) (map[client.ObjectPath]*client.Cache, error) {
	if err := w.b.Subscribe(ctx, client.SubscribeOptions{Collection: w.b.collection}); err != nil {
		return nil, err
	}
	found, err := w.b.GetCollectionProperties(ctx, w.b.collection)
	if err != nil {
		return nil, err
	}
	known := make(map[client.ObjectPath]*client.Cache)
	for _, path := range found.Caches {
		list, err := w.b.read(ctx, []client.ObjectPath{path})
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			known[path] = c
		}
	}
	return known, nil
}

// event prints an event.
func (w *watcher) event(ctx context.Context, e client.Event) error {
	switch e := e.(type) {
	case client.Added:
		if e.Cache == nil || !w.b.has(e.Object) {
			return nil
		}
		return w.changed(e.Object, e.Cache)
	case client.Removed:
		return w.removed(e.Object)
	case client.Changed:
		if c := w.known[e.Object]; c != nil {
			next := *c
			if err := e.Apply(&next); err != nil {
				return err
			}
			return w.changed(e.Object, &next)
		}
		return nil
	case client.Restarted:
		return w.restarted(ctx, e.Running)
	case client.SignInWanted:
		return w.print(render.Event{Event: "sign-in-wanted", PID: e.PID, Server: e.Server, Reason: e.Reason})
	}
	return w.ticketEvent(e)
}

// ticketEvent prints an event about tickets.
func (w *watcher) ticketEvent(e client.Event) error {
	switch e := e.(type) {
	case client.TicketsAdded:
		for i := range e.Tickets {
			if err := w.ticket("ticket-added", e.Cache, &e.Tickets[i], render.Event{}); err != nil {
				return err
			}
		}
	case client.TicketsRemoved:
		for _, t := range e.Tickets {
			if err := w.ticket("ticket-removed", e.Cache, &client.Ticket{ID: t.ID, Server: t.Server}, render.Event{Reason: e.Reason}); err != nil {
				return err
			}
		}
	case client.TicketExpiring:
		return w.ticket("ticket-expiring", e.Cache, &e.Ticket, render.Event{})
	case client.TicketExpired:
		return w.ticket("ticket-expired", e.Cache, &e.Ticket, render.Event{})
	case client.TicketRenewed:
		return w.ticket("ticket-renewed", e.Cache, &e.Ticket, render.Event{})
	case client.RenewalFailed:
		return w.ticket("renewal-failed", e.Cache, nil, render.Event{Error: e.Error, Message: e.Message, Next: render.Seconds(e.Next)})
	}
	return nil
}

// ticket completes an event with a cache and a ticket of it, and prints it.
func (w *watcher) ticket(name string, cache client.ObjectPath, t *client.Ticket, e render.Event) error {
	if !w.b.has(cache) {
		return nil
	}
	e.Event = name
	if t != nil {
		e.ID, e.Server, e.EndTime = t.ID, t.Server, render.Seconds(t.EndTime)
	}
	w.describe(&e, cache)
	return w.print(e)
}

// describe adds what is known of a cache to an event.
func (w *watcher) describe(e *render.Event, cache client.ObjectPath) {
	if c := w.known[cache]; c != nil {
		e.Cache, e.Principal, e.State, e.KDCOffset = c.Name, c.ClientPrincipal, c.State, c.KdcOffset
	}
}

// changed prints what is new about a cache, and keeps it.
func (w *watcher) changed(path client.ObjectPath, next *client.Cache) error {
	before := w.known[path]
	w.known[path] = next
	for _, name := range news(before, next) {
		e := render.Event{Event: name, EndTime: render.Seconds(next.EndTime)}
		w.describe(&e, path)
		if err := w.print(e); err != nil {
			return err
		}
	}
	return nil
}

// news returns the events that lead from a cache, nil for none, to the next.
func news(before, next *client.Cache) (events []string) {
	if before == nil {
		return []string{"cache-added"}
	}
	if before.ClientPrincipal != next.ClientPrincipal {
		events = append(events, "principal-changed")
	}
	if before.State != next.State {
		events = append(events, "state-changed")
	}
	if next.IsDefault && !before.IsDefault {
		events = append(events, "default-changed")
	}
	return events
}

func (w *watcher) removed(path client.ObjectPath) error {
	if w.known[path] == nil {
		return nil
	}
	e := render.Event{Event: "cache-removed"}
	w.describe(&e, path)
	delete(w.known, path)
	return w.print(e)
}

// restarted says that kcmd left or came back, and then what changed meanwhile.
func (w *watcher) restarted(ctx context.Context, running bool) error {
	if !running {
		return w.print(render.Event{Event: "daemon-stopped"})
	}
	if err := w.print(render.Event{Event: "daemon-started"}); err != nil {
		return err
	}
	// The connection is new to this kcmd, and sees what it may by default.
	if err := w.b.choose(ctx); err != nil {
		return err
	}
	now, err := w.read(ctx)
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(w.known)) {
		if now[path] == nil {
			if err := w.removed(path); err != nil {
				return err
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if err := w.changed(path, now[path]); err != nil {
			return err
		}
	}
	return nil
}

// print prints an event at once.
func (w *watcher) print(e render.Event) error {
	now := time.Now()
	e.Time, e.UID = now.Unix(), w.b.uid
	return print(func(p *render.Page) {
		if w.json {
			p.JSONLine(e)
		} else {
			p.Event(e)
		}
	})
}
