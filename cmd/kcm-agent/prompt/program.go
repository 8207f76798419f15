package prompt

import (
	"context"
	"os/exec"
	"strings"
)

// A program shows dialogs.
type program struct{ name string }

// findProgram returns the first one that is installed.
func findProgram(names ...string) (Dialog, error) {
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			return program{name}, nil
		}
	}
	return nil, ErrNoDialog
}

// Password asks for a password.
func (p program) Password(ctx context.Context, q Question) ([]byte, error) {
	return p.run(ctx, p.arguments(password, q.Title, q.warned(), ""))
}

// NewPassword asks for a new password.
func (p program) NewPassword(ctx context.Context, q Question) ([]byte, error) {
	return newPassword(ctx, p, q)
}

// Text asks for a line.
func (p program) Text(ctx context.Context, title, text, offer string) (string, error) {
	answer, err := p.run(ctx, p.arguments(line, title, text, offer))
	return strings.TrimSpace(string(answer)), err
}

// Tell shows a text.
func (p program) Tell(ctx context.Context, title, text string) {
	_, _ = p.run(ctx, p.arguments(message, title, text, ""))
}

// Waiting returns a context like ctx: no window waits.
func (p program) Waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// Close does nothing: each window is closed by its answer.
func (p program) Close() {}
