// Package prompt asks the user, through kdialog or zenity. A password comes from the
// dialog by a pipe.
//
// It imports secret. Its file is prompt.go.
package prompt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"kcmd.org/kcmd/secret"
)

// ErrCancelled says that the user has closed a dialog.
var ErrCancelled = errors.New("the user has cancelled")

// ErrNoDialog says that no program for dialogs is installed.
var ErrNoDialog = errors.New("no program asks for passwords; install zenity or kdialog")

// A Dialog is a program that shows dialogs.
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

// arguments has the arguments of a dialog: a text that the user has typed before comes
// last, and no password ever.
func (d Dialog) arguments(kind, title, text, typed string) []string {
	if d.program == "kdialog" {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "&", "&amp;"), "<", "&lt;")
		args := []string{"--title", title}
		switch kind {
		case "password":
			return append(args, "--password", text)
		case "text":
			return append(args, "--inputbox", text, typed)
		}
		return append(args, "--msgbox", strings.ReplaceAll(text, "\n", "<br>"))
	}
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", "_", "__").Replace(text)
	switch kind {
	case "password":
		return []string{"--entry", "--hide-text", "--title=" + title, "--text=" + escaped}
	case "text":
		return []string{"--entry", "--title=" + title, "--text=" + escaped, "--entry-text=" + typed}
	}
	return []string{"--info", "--no-markup", "--title=" + title, "--text=" + text}
}

// Password asks for a password. The caller overwrites it.
func (d Dialog) Password(ctx context.Context, title, text string) ([]byte, error) {
	return d.run(ctx, d.arguments("password", title, text, ""))
}

// Text asks for a line, and offers one.
func (d Dialog) Text(ctx context.Context, title, text, offer string) (string, error) {
	line, err := d.run(ctx, d.arguments("text", title, text, offer))
	return strings.TrimSpace(string(line)), err
}

// Tell shows a text until the user closes it.
func (d Dialog) Tell(ctx context.Context, title, text string) {
	_, _ = d.run(ctx, d.arguments("tell", title, text, ""))
}

// run runs the dialog and returns its first line.
func (d Dialog) run(ctx context.Context, args []string) (line []byte, err error) {
	cmd := exec.CommandContext(ctx, d.program, args...)
	r, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", d.program, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", d.program, err)
	}
	line, err = secret.ReadLine(r)
	if errors.Is(err, io.EOF) {
		line, err = nil, nil
	}
	_, _ = io.Copy(io.Discard, r) // so that it can end
	var exit *exec.ExitError
	if e := cmd.Wait(); errors.As(e, &exit) {
		clear(line)
		if exit.ExitCode() == 1 || exit.ExitCode() == 2 {
			return nil, ErrCancelled
		}
		return nil, fmt.Errorf("%s has failed: %w", d.program, e)
	}
	return line, err
}
