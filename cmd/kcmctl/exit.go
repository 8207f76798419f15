package main

import (
	"context"
	"errors"
	"fmt"

	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
)

// Exit statuses besides 0, which kcmctl(1) documents.
const (
	exitFailed     = 1 // it could not be done
	exitUsage      = 2 // the command line is wrong
	exitNotFound   = 3 // there is no such cache, ticket or user
	exitNotValid   = 4 // the ticket is not valid, or not in time
	exitNotRunning = 5 // kcmd is not on the bus
	exitDenied     = 6 // not allowed
	exitKDC        = 7 // the KDC does not answer, or refuses
)

// A failure is an error with an exit status.
type failure struct {
	error
	status int
}

func (f failure) Unwrap() error { return f.error }

func fail(status int, format string, args ...any) error {
	return failure{fmt.Errorf(format, args...), status}
}

// statuses are the exit statuses of errors of kcmd. What is not here has exitFailed.
var statuses = []struct {
	err    error
	status int
}{
	{client.ErrNotRunning, exitNotRunning},
	{client.ErrUnknownObject, exitNotFound},
	{client.ErrNoSuchTicket, exitNotFound},
	{client.ErrInvalidArgs, exitUsage},
	{client.ErrAccessDenied, exitDenied},
	{client.ErrNotAuthorized, exitDenied},
	{client.ErrNoTGT, exitNotValid},
	{client.ErrExpired, exitNotValid},
	{client.ErrNotYetValid, exitNotValid},
	{client.ErrNotRenewable, exitNotValid},
	{client.ErrKDCUnreachable, exitKDC},
	{client.ErrKDC, exitKDC},
	{client.ErrClientUnknown, exitKDC},
	{client.ErrClientRevoked, exitKDC},
	{client.ErrClockSkew, exitKDC},
	{client.ErrPreauthFailed, exitKDC},
	{client.ErrPasswordOld, exitKDC},
	{client.ErrUnverified, exitNotValid},
}

// exitStatus returns the exit status of the program for an error, 0 for nil.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if f := (failure{}); errors.As(err, &f) {
		return f.status
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return exitFailed
}

// advice says what to do about errors of kcmd.
var advice = []struct {
	err  error
	text string
}{
	{client.ErrAccessDenied, "run it as root"},
	{client.ErrNotAuthorized, "run it on a terminal, or as root"},
	{client.ErrNotRenewable, "get a new ticket with kinit"},
	{client.ErrExpired, "get a new ticket with kinit"},
	{client.ErrNoTGT, "get a ticket with kinit"},
	{client.ErrNotSupported, "see kdc_helper in kcmd(8)"},
	{client.ErrKDCUnreachable, "check the network, and [realms] in krb5.conf"},
	{client.ErrClockSkew, "set the clock of this machine"},
	{client.ErrPasswordOld, "change it with kpasswd"},
	{client.ErrKeytab, "see VERIFICATION in kcmd(8)"},
	{client.ErrBusy, "try again"},
	{client.ErrLimit, "try again later"},
	{client.ErrFailed, "its log has the reason: journalctl -u kcmd"},
}

// explain returns the error for what could not be done, with what to do about it.
func explain(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, new(failure)) {
		return err
	}
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return failure{fmt.Errorf("cannot %s: %s; %s", what, words.Reason(err), a.text), exitStatus(err)}
		}
	}
	return failure{fmt.Errorf("cannot %s: %s", what, words.Reason(err)), exitStatus(err)}
}
