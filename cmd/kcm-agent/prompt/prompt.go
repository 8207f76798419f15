// Package prompt asks the user, through kdialog or zenity. A password comes from the
// dialog by a pipe. It is in no list of arguments, environment, log or error, and what
// is not returned is overwritten.
//
// It imports safetext and secret. Files, in the order in which to read them:
//
//   - prompt.go: the questions
//   - text.go: what a dialog gets as arguments
//   - run.go: how it is run
package prompt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
)

var (
	// ErrCancelled says that the user has closed a dialog.
	ErrCancelled = errors.New("the user has cancelled")
	// ErrNoDialog says that no program for dialogs is installed.
	ErrNoDialog = errors.New("no program asks for passwords; install zenity or kdialog")
	// ErrNoDisplay says that a dialog has no screen.
	ErrNoDisplay = errors.New("there is no screen to ask for passwords: DISPLAY and WAYLAND_DISPLAY are not set")
)

// A Dialog is a program that shows dialogs. Each window ends with its context. Texts may
// hold anything: dialogs see no markup in them, and not more than a screen of text.
type Dialog struct{ program string }

// Find returns the dialog with that name, else that of the desktop.
func Find(name string) (Dialog, error) {
	programs := []string{"zenity", "kdialog"}
	if name != "" {
		programs = []string{name}
	} else if strings.Contains(os.Getenv("XDG_CURRENT_DESKTOP"), "KDE") {
		programs = []string{"kdialog", "zenity"}
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			return Dialog{p}, nil
		}
	}
	return Dialog{}, ErrNoDialog
}

// Password asks for a password, which may be empty. The caller overwrites it.
func (d Dialog) Password(ctx context.Context, title, text string) ([]byte, error) {
	return d.run(ctx, d.arguments(password, title, text, ""))
}

// NewPassword asks for a new password, twice, until both are the same and not empty. The
// caller overwrites it.
func (d Dialog) NewPassword(ctx context.Context, title, text string) ([]byte, error) {
	for {
		next, err := d.Password(ctx, title, text)
		if err != nil {
			return nil, err
		}
		if len(next) == 0 {
			text = "A password cannot be empty. New password:"
			continue
		}
		again, err := d.Password(ctx, title, "The new password again:")
		same := bytes.Equal(next, again)
		clear(again)
		if err == nil && same {
			return next, nil
		}
		clear(next)
		if err != nil {
			return nil, err
		}
		text = "The two were not the same. New password:"
	}
}

// Text asks for a line, and offers one.
func (d Dialog) Text(ctx context.Context, title, text, offer string) (string, error) {
	answer, err := d.run(ctx, d.arguments(line, title, text, offer))
	return strings.TrimSpace(string(answer)), err
}

// Tell shows a text until the user closes it.
func (d Dialog) Tell(ctx context.Context, title, text string) {
	_, _ = d.run(ctx, d.arguments(message, title, text, ""))
}
