package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"kcmd.org/kcmd/cmd/kcm-agent/link"
	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
)

const signInTitle = "Kerberos sign-in"

var ticketQuery = client.TicketQuery{}

// An identity is a principal that signs in, or changes its password.
type identity struct {
	state     link.State
	dialog    prompt.Dialog
	cache     client.ObjectPath // "" for that of the principal
	principal string
}

// ask finds the principal: the user says who it is, and is offered the last one.
func (i *identity) ask(ctx context.Context) error {
	if i.principal != "" {
		return nil
	}
	offer := remembered()
	if u, err := user.Current(); offer == "" && err == nil {
		offer = u.Username
	}
	var err error
	i.principal, err = i.dialog.Text(ctx, signInTitle, "Principal:", offer)
	if err == nil && (i.principal == "" || strings.HasPrefix(i.principal, "-")) {
		return fmt.Errorf("%q is not allowed; allowed: NAME or NAME@REALM", i.principal)
	}
	return err
}

// signIn asks for the password until it is right, the user gives up, or another reason
// stands against it.
func (i *identity) signIn(ctx context.Context) error {
	if err := i.ask(ctx); err != nil {
		return err
	}
	q := prompt.Question{Title: signInTitle, Text: "Password for " + i.principal + ":", Button: "Sign In"}
	for {
		password, err := i.dialog.Password(ctx, q)
		if err != nil {
			return err
		}
		err = i.acquire(ctx, password)
		if errors.Is(err, client.ErrPasswordOld) {
			err = i.changePassword(ctx, password)
			if err == nil {
				return nil
			}
		}
		clear(password)
		if err == nil {
			remember(i.principal)
			return nil
		}
		if !errors.Is(err, client.ErrPreauthFailed) {
			return err
		}
		q.Warning = "The password is wrong."
	}
}

// acquire gets a TGT with a password.
func (i *identity) acquire(ctx context.Context, password []byte) error {
	return i.request(ctx, func(ctx context.Context) error {
		name := i.cacheName()
		if !slices.Contains(i.state.Features, "acquire") {
			return kinit(ctx, i.principal, name, password)
		}
		_, err := i.state.Client.AcquireWithPassword(ctx, i.state.Own, i.principal, password, client.AcquireOptions{Cache: name})
		return err
	})
}

// request makes a request to KDCs, until the user closes the dialog that waits for it.
func (i *identity) request(ctx context.Context, do func(context.Context) error) error {
	limited, stop := context.WithTimeout(ctx, callTime)
	defer stop()
	waiting, stop := i.dialog.Waiting(limited)
	defer stop()
	err := do(waiting)
	if err != nil && waiting.Err() != nil && limited.Err() == nil {
		return prompt.ErrCancelled
	}
	return err
}

// cacheName returns the name of the cache, "" if kcmd or kinit is to choose it.
func (i *identity) cacheName() string {
	for _, c := range i.state.Caches {
		if c.Path == i.cache && c.ClientPrincipal == i.principal {
			return c.Name
		}
	}
	return ""
}

// changePassword asks for a new password until the realm allows it, and signs in with
// it. old is nil if it is not known.
func (i *identity) changePassword(ctx context.Context, old []byte) error {
	if err := i.ask(ctx); err != nil {
		return err
	}
	q := prompt.Question{Title: "Change password", Text: "The password of " + i.principal + " has expired. New password:", Button: "Change"}
	again := "New password of " + i.principal + ":"
	if old == nil {
		q.Text = "Present password of " + i.principal + ":"
		var err error
		if old, err = i.dialog.Password(ctx, q); err != nil {
			return err
		}
		defer clear(old)
		q.Text = again
	}
	for {
		next, err := i.dialog.NewPassword(ctx, q)
		if err != nil {
			return err
		}
		err = i.change(ctx, old, next)
		if err == nil {
			err = i.acquire(ctx, next)
			clear(next)
			if err == nil {
				remember(i.principal)
			}
			return err
		}
		clear(next)
		if !errors.Is(err, client.ErrRejected) {
			return err
		}
		q.Warning, q.Text = inWords(err), again
	}
}

func (i *identity) change(ctx context.Context, old, next []byte) error {
	return i.request(ctx, func(ctx context.Context) error {
		if !slices.Contains(i.state.Features, "change-password") {
			return kpasswd(ctx, i.principal, old, next)
		}
		return i.state.Client.ChangePassword(ctx, i.state.Own, i.principal, old, next)
	})
}

// inWords returns an error in the words of users.
func inWords(err error) string {
	for _, e := range []struct {
		err  error
		name string
	}{
		{client.ErrKDCUnreachable, "KdcUnreachable"}, {client.ErrClientUnknown, "ClientUnknown"}, {client.ErrClientRevoked, "ClientRevoked"},
		{client.ErrClockSkew, "ClockSkew"}, {client.ErrPreauthFailed, "PreauthFailed"}, {client.ErrPasswordOld, "PasswordExpired"},
		{client.ErrNotRenewable, "NotRenewable"}, {client.ErrExpired, "Expired"}, {client.ErrBusy, "Busy"}, {client.ErrNotSupported, "NotSupported"},
	} {
		if errors.Is(err, e.err) {
			return show.Plain(e.name, "")
		}
	}
	if errors.Is(err, client.ErrRejected) {
		return show.Plain("PasswordRejected", "") + " " + words.Reason(err)
	}
	return words.Reason(err)
}

// The principal of the last sign-in is in a file of the user's state.
func rememberedPath() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".local", "state")
	}
	return filepath.Join(dir, "kcm-agent", "principal")
}

func remembered() string {
	text, _ := os.ReadFile(rememberedPath())
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// remember keeps a principal for the next sign-in. Without it the user types more.
func remember(principal string) {
	path := rememberedPath()
	if os.MkdirAll(filepath.Dir(path), 0o700) == nil {
		_ = os.WriteFile(path, []byte(principal+"\n"), 0o600)
	}
}
