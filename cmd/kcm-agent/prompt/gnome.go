package prompt

import (
	"context"
	"errors"

	godbus "github.com/godbus/dbus/v5"
)

// gnome is the dialog of GNOME. One window shows all questions for passwords.
type gnome struct {
	prompter *prompter
	program  Dialog // for other questions, nil for none
	only     bool   // it has no substitute
	failed   bool   // it cannot be started: the program asks
}

var errNoPrompter = errors.New("the session bus has no password dialog of GNOME")

// findGNOME returns the dialog of GNOME. If it is not the only choice, the session bus must
// have or know it, and a program takes its place where it cannot be started.
func findGNOME(ctx context.Context, only bool) (Dialog, error) {
	p, err := newPrompter(ctx)
	if err != nil {
		return nil, err
	}
	if !only && !p.available(ctx) {
		p.close()
		return nil, errNoPrompter
	}
	g := &gnome{prompter: p, only: only}
	if g.program, err = findProgram(Zenity, KDialog); err != nil {
		g.program, g.only = nil, true
	}
	return g, nil
}

// properties are those of a prompt. It would keep the last ones.
func properties(q Question) map[string]godbus.Variant {
	values := map[string]godbus.Variant{"password-new": godbus.MakeVariant(false)}
	for name, text := range map[string]string{
		"title": q.Title, "message": q.Title, "description": q.Text, "warning": q.Warning,
		"choice-label": "", "caller-window": "", "continue-label": q.Button, "cancel-label": "Cancel",
	} {
		values[name] = godbus.MakeVariant(plain(text))
	}
	return values
}

// Password asks for a password.
func (g *gnome) Password(ctx context.Context, q Question) ([]byte, error) {
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	if g.failed {
		return g.program.Password(ctx, q)
	}
	return g.prompter.ask(ctx, "password", properties(q))
}

// NewPassword asks for a new password.
func (g *gnome) NewPassword(ctx context.Context, q Question) ([]byte, error) {
	return newPassword(ctx, g, q)
}

// start begins the conversation. Where that fails, the program asks, but for a user who
// has cancelled, or sees the question of another.
func (g *gnome) start(ctx context.Context) error {
	if g.failed {
		return nil
	}
	err := g.prompter.begin(ctx)
	g.failed = err != nil && !g.only && ctx.Err() == nil && !errors.Is(err, ErrCancelled) && !errors.Is(err, errBusy)
	if g.failed {
		return nil
	}
	return err
}

// Text asks for a line. GNOME has no window for that: without a program the answer is
// what is offered.
func (g *gnome) Text(ctx context.Context, title, text, offer string) (string, error) {
	if g.program != nil {
		return g.program.Text(ctx, title, text, offer)
	}
	if offer == "" {
		return "", ErrNoDialog
	}
	return offer, nil
}

// Tell shows a text.
func (g *gnome) Tell(ctx context.Context, title, text string) {
	if g.program != nil {
		g.program.Tell(ctx, title, text)
		return
	}
	_, _ = g.prompter.ask(ctx, "confirm", properties(Question{Title: title, Text: text, Button: "Close"}))
}

// Waiting returns a context that ends when the user closes the window.
func (g *gnome) Waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(g.prompter.open, stop)
	return ctx, func() {
		unhook()
		stop()
	}
}

// Close closes the window.
func (g *gnome) Close() { g.prompter.close() }
