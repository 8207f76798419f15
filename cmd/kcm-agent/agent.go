package main

import (
	"context"
	"slices"
	"time"

	"kcmd.org/kcmd/cmd/kcm-agent/link"
	"kcmd.org/kcmd/cmd/kcm-agent/lock"
	"kcmd.org/kcmd/cmd/kcm-agent/notify"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/cmd/kcm-agent/tray"
)

// longestOpen ends the updates of an open menu of a host that does not say when it is
// closed.
const longestOpen = 10 * time.Minute

// settleTime is how long after its start the agent looks for kcmd, which a bus may have to
// start, before it says that kcmd is not running.
const settleTime = 5 * time.Second

// mostWanted is how many programs the notification about a wanted sign-in names.
const mostWanted = 5

// An agent has what it knows. Only its loop reads and changes it.
type agent struct {
	settings settings
	tray     *tray.Tray // nil for none
	notifier *notify.Notifier
	state    link.State
	wanted   []show.Wanted
	failed   []show.Failed
	early    []show.Action // what came before the agent knew where kcmd is
	settled  bool          // it knows, or has looked long enough
	locked   bool
	opened   time.Time // when the menu was, zero if it is closed
	asking   bool      // a dialog is open
	results  chan result
	quit     context.CancelFunc
}

// post gives v to the loop, unless the agent ends.
func post[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

// serve runs the agent until ctx ends, the user quits it, or the session bus goes away.
func serve(ctx context.Context, f flags, s settings) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	actions, opens := make(chan show.Action), make(chan bool)
	states, locks := make(chan link.State), make(chan bool)
	acted := func(a show.Action) { go post(ctx, actions, a) }
	conn, err := connect(context.WithoutCancel(ctx), f.signIn, acted)
	if err != nil || conn == nil {
		return err
	}
	defer conn.Close()
	a := &agent{settings: s, notifier: notify.New(conn, acted), results: make(chan result), quit: quit}
	if s.icon {
		events := tray.Events{Clicked: acted, Open: func(open bool) { go post(ctx, opens, open) }}
		if a.tray, err = tray.New(conn, f.icons, events); err != nil {
			return err
		}
	}
	followed := make(chan error, 1)
	go func() { followed <- link.Follow(ctx, func(s link.State) { post(ctx, states, s) }) }()
	go lock.Watch(ctx, conn, func(locked bool) { post(ctx, locks, locked) })
	told := make(chan error, 1)
	go func() { told <- a.notifier.Run(ctx) }()

	if f.signIn {
		acted(show.Action{Verb: show.SignIn})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return <-told // when the notifications are withdrawn
		case err := <-followed:
			if ctx.Err() == nil {
				return err
			}
		case err := <-told:
			return err // the session has ended
		case state := <-states:
			a.follow(state)
			if state.Client != nil {
				a.settle(ctx)
			}
		case <-settle.C:
			a.settle(ctx)
		case a.locked = <-locks:
		case open := <-opens:
			a.opened = time.Time{}
			if open {
				a.opened = time.Now()
			}
		case act := <-actions:
			a.act(ctx, act)
		case r := <-a.results:
			a.done(r)
		case <-timer.C:
		}
		a.show(timer)
	}
}

// settle does what came before the agent knew where kcmd is.
func (a *agent) settle(ctx context.Context) {
	early := a.early
	a.early, a.settled = nil, true
	for _, act := range early {
		a.act(ctx, act)
	}
}

// world is what the agent knows, for show.
func (a *agent) world() *show.World {
	w := &show.World{Now: time.Now(), Running: a.state.Client != nil, Wanted: a.wanted, Failed: a.failed, Settings: a.settings.Settings}
	for _, c := range a.state.Caches {
		w.Caches = append(w.Caches, show.Cache{Cache: c.Cache, Path: c.Path, Message: c.Message})
	}
	return w
}

// show shows what there is, and sets the timer to when that changes by itself.
func (a *agent) show(timer *time.Timer) {
	w := a.world()
	if a.tray != nil {
		icon, text := w.Icon()
		a.tray.Show(icon, text, w.Menu())
	}
	if !a.locked && a.settings.notifications {
		a.notifier.Show(w.Notices())
	}
	next := w.Next()
	if !a.opened.IsZero() && w.Now.Sub(a.opened) < longestOpen {
		next = w.NextText()
	}
	timer.Stop()
	if !next.IsZero() {
		timer.Reset(max(0, next.Sub(w.Now)) + time.Millisecond)
	}
}

// follow takes the state of the caches.
func (a *agent) follow(s link.State) {
	if s.Wanted != nil {
		a.want(show.Wanted{Program: processName(s.Wanted.PID), PID: s.Wanted.PID, Server: s.Wanted.Server})
	} else if len(a.wanted) > 0 && settled(a.state.Caches, s.Caches) {
		a.wanted = nil
	}
	a.state = s
	a.failed = slices.DeleteFunc(a.failed, func(f show.Failed) bool {
		return f.Action.Cache != "" && !slices.ContainsFunc(s.Caches, func(c link.Cache) bool { return c.Path == f.Action.Cache })
	})
}

// want notes that a program wants a sign-in. A program is named once.
func (a *agent) want(wanted show.Wanted) {
	same := func(w show.Wanted) bool {
		return w.Program == wanted.Program && (w.Program != "" || w.PID == wanted.PID)
	}
	if !slices.ContainsFunc(a.wanted, same) && len(a.wanted) < mostWanted {
		a.wanted = append(slices.Clone(a.wanted), wanted)
	}
}

// settled reports whether a TGT came.
func settled(before, after []link.Cache) bool {
	ends := make(map[string]time.Time)
	for _, c := range before {
		ends[string(c.Path)] = c.EndTime
	}
	return slices.ContainsFunc(after, func(c link.Cache) bool {
		return c.EndTime.After(time.Now()) && c.EndTime.After(ends[string(c.Path)])
	})
}
