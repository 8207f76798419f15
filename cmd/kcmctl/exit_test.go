package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"kcmd.org/kcmd/dbus/client"
)

// said is an error as dbus/client returns it, with the text of kcmd.
func said(meaning error, text string) error {
	return fmt.Errorf("Method: %w: %w", meaning, errors.New(text))
}

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{said(client.ErrNotRenewable, "the ticket is not renewable"), exitNotValid,
			"cannot renew x: the ticket is not renewable; get a new ticket with kinit"},
		{said(client.ErrKDC, "the KDC refuses\x1b[0m"), exitKDC, `cannot renew x: the KDC refuses\x1B[0m`},
		{said(client.ErrAccessDenied, "no"), exitDenied, "cannot renew x: no; run it as root"},
		{errors.New("two\nlines"), exitFailed, "cannot renew x: two; lines"},
		{fail(exitNotFound, "there is no cache y"), exitNotFound, "there is no cache y"},
		{context.Canceled, exitFailed, "context canceled"},
	} {
		err := explain("renew x", test.err)
		if got := oneLine(err); got != test.text || exitStatus(err) != test.status {
			t.Errorf("got %q, %d, want %q, %d", got, exitStatus(err), test.text, test.status)
		}
	}
}

// A wrong command line has its exit status, and no command runs.
func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"lst"}, {"list", "x"}, {"show", "a", "b"}, {"switch"}, {"--system", "--session", "list"}, {"remove"},
		{"destroy", "--all", "x"}, {"status", "--format", "xml"}, {"status", "--format", "openmetrics", "--json"},
		{"acquire", "--keytab", "x", "--password-fd", "0"}, {"list", "--colour"}, {"wait", "--valid-for", "soon"},
	} {
		if err := run(t.Context(), args); exitStatus(err) != exitUsage {
			t.Errorf("%v: %v, status %d", args, err, exitStatus(err))
		}
	}
}
