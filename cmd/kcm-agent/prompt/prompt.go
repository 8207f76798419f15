// Package prompt asks the user: by the dialog of GNOME, kdialog or zenity. A password
// comes from GNOME encrypted, and from a program by a pipe. It is in no list of
// arguments, environment, log or error, and what is not returned is overwritten.
//
// It imports safetext, secret, dbus/client for the address of the session bus, and
// prompt/exchange. Files, in the order in which to read them:
//
//   - prompt.go: the questions, and which dialog asks them
//   - program.go, text.go, run.go: programs: the questions, what they get as arguments,
//     and how they are run
//   - gnome.go, prompter.go: the dialog of GNOME: the questions, and the conversation on
//     the session bus
package prompt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
)

var (
	// ErrCancelled says that the user has closed a dialog.
	ErrCancelled = errors.New("the user has cancelled")
	// ErrNoDialog says that nothing can show a dialog.
	ErrNoDialog = errors.New("no program asks for passwords; install zenity or kdialog")
	// ErrNoDisplay says that a dialog has no screen.
	ErrNoDisplay = errors.New("there is no screen to ask for passwords: DISPLAY and WAYLAND_DISPLAY are not set")
)

// A Question is what a dialog for passwords shows. Texts may hold anything: dialogs see
// no markup in them, and not more than a screen of text.
type Question struct {
	Title   string
	Warning string // what is wrong with the last answer, "" for nothing
	Text    string
	Button  string // the label of the button that answers; programs have their own
}

// warned returns the text with the warning before it.
func (q Question) warned() string {
	if q.Warning == "" {
		return q.Text
	}
	return q.Warning + " " + q.Text
}

// A Dialog asks questions. Each ends with its context.
type Dialog interface {
	// Password asks for a password, which may be empty. The caller overwrites it.
	Password(ctx context.Context, q Question) ([]byte, error)
	// NewPassword asks for a new password, twice, until both are the same and not empty.
	// The caller overwrites it.
	NewPassword(ctx context.Context, q Question) ([]byte, error)
	// Text asks for a line, and offers one.
	Text(ctx context.Context, title, text, offer string) (string, error)
	// Tell shows a text until the user closes it.
	Tell(ctx context.Context, title, text string)
	// Waiting returns a context for the use of an answer. It also ends when the user closes
	// the window that waits for the end of that.
	Waiting(ctx context.Context) (context.Context, context.CancelFunc)
	// Close closes the window.
	Close()
}

const emptyPassword = "A password cannot be empty."

// newPassword asks d for a new password, by two questions: GNOME Shell has a window with two
// fields, which takes no more text after two that differ.
func newPassword(ctx context.Context, d Dialog, q Question) ([]byte, error) {
	for {
		next, err := d.Password(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(next) == 0 {
			q.Warning = emptyPassword
			continue
		}
		again, err := d.Password(ctx, Question{Title: q.Title, Text: "The new password again:", Button: q.Button})
		same := bytes.Equal(next, again)
		clear(again)
		if err == nil && same {
			return next, nil
		}
		clear(next)
		if err != nil {
			return nil, err
		}
		q.Warning = "The two were not the same."
	}
}

// The dialogs that settings can name.
const (
	Zenity  = "zenity"
	KDialog = "kdialog"
	GNOME   = "gnome"
)

// Find returns the dialog with that name, else that of the desktop: kdialog on KDE, the
// dialog of GNOME where the session bus has or can start it, zenity or kdialog.
func Find(ctx context.Context, name string) (Dialog, error) {
	switch name {
	case Zenity, KDialog:
		return findProgram(name)
	case GNOME:
		return findGNOME(ctx, true)
	}
	if strings.Contains(os.Getenv("XDG_CURRENT_DESKTOP"), "KDE") {
		if d, err := findProgram(KDialog); err == nil {
			return d, nil
		}
	}
	if d, err := findGNOME(ctx, false); err == nil {
		return d, nil
	}
	return findProgram(Zenity, KDialog)
}
