package prompt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/secret"
)

// run runs the dialog and returns its first line.
func (p program) run(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.name, args...)
	cmd.Env = environment(os.Environ())
	// A program in a group of its own ends with those that it has started.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	r, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", p.name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", p.name, err)
	}
	answer, err := secret.ReadLine(r)
	if errors.Is(err, io.EOF) {
		answer, err = nil, nil
	}
	_, _ = io.Copy(io.Discard, r) // so that it can end
	failure := p.failure(cmd.Wait())
	if e := cmp.Or(ctx.Err(), failure); e != nil {
		clear(answer)
		return nil, e
	}
	return answer, err
}

// failure returns what the end of the program means, nil if the user has answered.
func (p program) failure(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("cannot run %s: %w", p.name, err)
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return ErrNoDisplay // for which zenity has the status of a cancelled dialog
	case exit.ExitCode() == 1 || exit.ExitCode() == 2:
		return ErrCancelled
	}
	return fmt.Errorf("%s has failed: %w", p.name, err)
}

// environment returns that of a dialog. Without a character set of UTF-8 dialogs would
// replace letters of a password; variables change the exit codes of zenity.
func environment(env []string) []string {
	value := func(name string) string {
		for _, v := range slices.Backward(env) {
			if s, ok := strings.CutPrefix(v, name+"="); ok {
				return s
			}
		}
		return ""
	}
	locale := strings.ToLower(cmp.Or(value("LC_ALL"), value("LC_CTYPE"), value("LANG")))
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "ZENITY_") })
	if !strings.HasSuffix(locale, "utf-8") && !strings.HasSuffix(locale, "utf8") {
		env = append(env, "LC_ALL=C.UTF-8")
	}
	return env
}
