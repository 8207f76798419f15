package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/dbus/client"
)

// TestDetails has a KDC whose clock is an hour ahead: all times are shown by the local
// clock.
func TestDetails(t *testing.T) {
	now := time.Date(2026, 1, 2, 10, 0, 0, 0, time.Local)
	kdc := func(d time.Duration) time.Time { return now.Add(time.Hour + d) }
	c := &client.Cache{
		ClientPrincipal: "alice@R", Name: "KCM:1", State: "valid", KdcOffset: 3600,
		EndTime: kdc(2 * time.Hour), NextRenewal: now.Add(time.Hour), PasswordExpires: kdc(3 * time.Hour),
	}
	text := aboutCache(c, now) + aboutTicket(c, client.Ticket{Server: "host/x@R", EndTime: kdc(30 * time.Minute)}, now)
	for _, want := range []string{"alice@R\nKCM:1: valid\n", "Ends: 12:00", "Next renewal: 11:00", "Password expires: 13:00", "host/x@R, 10:30"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Renewable") {
		t.Errorf("a time that is not there is shown:\n%s", text)
	}
}

// TestOutcomes: the user is told of an action that failed, and not of one that he stopped
// or that other tickets have settled.
func TestOutcomes(t *testing.T) {
	for err, told := range map[error]bool{
		nil: false, prompt.ErrCancelled: false, context.Canceled: false, client.ErrSuperseded: false,
		client.ErrKDCUnreachable: true, errors.New("other"): true,
	} {
		if err != nil {
			err = fmt.Errorf("renew: %w", err)
		}
		a := new(agent)
		a.done(result{action: show.Action{Verb: show.Renew}, err: err})
		if got := len(a.failed) > 0; got != told {
			t.Errorf("%v: told %v, want %v", err, got, told)
		}
	}
}
