package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/cmd/kcm-agent/link"
	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
)

// callTime is how long a request to KDCs may take.
const callTime = 2 * time.Minute

// A result is the outcome of an action.
type result struct {
	action show.Action
	dialog bool
	err    error
}

// titles say what could not be done.
var titles = map[show.Verb]string{
	show.MakeDefault: "Cannot change the default", show.Renew: "Cannot renew the ticket", show.SignIn: "Cannot sign in",
	show.ChangePassword: "Cannot change the password", show.Copy: "Cannot copy", show.Details: "Cannot show the details",
	show.Destroy: "Cannot destroy the tickets",
}

// act starts an action. One dialog is open at a time.
func (a *agent) act(ctx context.Context, act show.Action) {
	if act.Verb == show.Quit {
		a.quit()
		return
	}
	if !a.settled {
		a.early = append(a.early, act)
		return
	}
	dialog := act.Verb == show.SignIn || act.Verb == show.ChangePassword
	if dialog && a.asking {
		return
	}
	a.asking = a.asking || dialog
	a.forget(act)
	s, settings := a.state, a.settings
	go func() {
		ctx, stop := context.WithTimeout(ctx, actionTime(act.Verb))
		defer stop()
		post(ctx, a.results, result{act, dialog, do(ctx, s, settings, act)})
	}()
}

// actionTime is how long an action may take. A user has a day for a dialog.
func actionTime(v show.Verb) time.Duration {
	if v == show.SignIn || v == show.ChangePassword || v == show.Details {
		return 24 * time.Hour
	}
	return callTime
}

func (a *agent) forget(act show.Action) {
	a.failed = slices.DeleteFunc(slices.Clone(a.failed), func(f show.Failed) bool { return f.Action == act })
}

// done takes the outcome of an action.
func (a *agent) done(r result) {
	if r.dialog {
		a.asking = false
	}
	if r.err == nil || isSettled(r.err) {
		return
	}
	a.forget(r.action)
	a.failed = append(a.failed, show.Failed{Action: r.action, Title: titles[r.action.Verb], Reason: inWords(r.err)})
}

// isSettled reports whether an error is none to the user, who stopped the action, or has
// other tickets by now.
func isSettled(err error) bool {
	return errors.Is(err, prompt.ErrCancelled) || errors.Is(err, context.Canceled) || errors.Is(err, client.ErrSuperseded)
}

var errNotRunning = errors.New("kcmd is not running")

// do does what the user wants.
func do(ctx context.Context, s link.State, settings settings, act show.Action) error {
	if act.Verb == show.Copy {
		return copyText(ctx, act.Principal)
	}
	if s.Client == nil {
		return errNotRunning
	}
	switch act.Verb {
	case show.MakeDefault:
		return s.Client.SwitchTo(ctx, act.Cache)
	case show.Renew:
		_, err := s.Client.Renew(ctx, act.Cache)
		return err
	case show.Destroy:
		return s.Client.Destroy(ctx, act.Cache)
	}
	d, err := prompt.Find(ctx, settings.dialog)
	if err != nil {
		return err
	}
	defer d.Close()
	if act.Verb == show.Details {
		return details(ctx, s, d, act)
	}
	i := &identity{state: s, dialog: d, cache: act.Cache, principal: act.Principal}
	if act.Verb == show.ChangePassword {
		return i.changePassword(ctx, nil)
	}
	return i.signIn(ctx)
}

// details shows a cache and its tickets.
func details(ctx context.Context, s link.State, d prompt.Dialog, act show.Action) error {
	c, err := s.Client.GetCacheProperties(ctx, act.Cache)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(aboutCache(c, time.Now()))
	const most = 30
	n := 0
	for t, err := range s.Client.Tickets(ctx, act.Cache, ticketQuery) {
		if err != nil {
			return err
		}
		if n++; n > most {
			break
		}
		b.WriteString(aboutTicket(c, t, time.Now()))
	}
	if int(c.TicketCount) > most {
		fmt.Fprintf(&b, "\nand %d more", int(c.TicketCount)-most)
	}
	d.Tell(ctx, "Kerberos tickets", b.String())
	return nil
}

// aboutCache describes a cache, by the local clock.
func aboutCache(c *client.Cache, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s: %s\n", c.ClientPrincipal, c.Name, words.State(c.State))
	line := func(what string, t time.Time) {
		if !t.IsZero() {
			fmt.Fprintf(&b, "%s: %s\n", what, words.Clock(t, now))
		}
	}
	line("Ends", show.Local(c, c.EndTime))
	line("Renewable until", show.Local(c, c.RenewUntil))
	line("Next renewal", c.NextRenewal) // which is by the local clock
	line("Password expires", show.Local(c, c.PasswordExpires))
	return b.String()
}

func aboutTicket(c *client.Cache, t client.Ticket, now time.Time) string {
	return fmt.Sprintf("\n%s, %s", t.Server, words.Clock(show.Local(c, t.EndTime), now))
}
