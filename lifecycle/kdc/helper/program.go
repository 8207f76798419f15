package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/lifecycle/kdc"
)

// maxOutput bounds what is read of a program's messages, in bytes.
const maxOutput = 4 << 10

// An output keeps the beginning of what is written to it.
type output struct{ bytes.Buffer }

func (o *output) Write(b []byte) (int, error) {
	o.Buffer.Write(b[:min(len(b), maxOutput-o.Len())])
	return len(b), nil
}

// run runs a program of libkrb5 on the cache, with some input, and returns its messages.
// If it fails the error says what they mean.
func (r *room) run(ctx context.Context, input []byte, program string, args ...string) (string, error) {
	var messages output
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.dir
	cmd.Env = r.environment()
	cmd.Stdout, cmd.Stderr = &messages, &messages
	if input != nil {
		cmd.Stdin = bytes.NewReader(input) // writes itself: no copy is left behind
	}
	// A process group of its own, and death with ours, even if that is kill -9.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return messages.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", &kdc.Failure{Reason: kdc.NotSupported, Text: program + " is not installed"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", &kdc.Failure{Reason: kdc.Unreachable, Text: fmt.Sprintf("the KDC did not answer for %v", kdc.Timeout)}
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit) && exit.Exited():
		return "", outcome(program, messages.String())
	}
	return "", fmt.Errorf("cannot run %s: %w", program, err)
}

// environment returns the environment of the programs. Nothing of ours but the path and
// the configuration of Kerberos is in it.
func (r *room) environment() []string {
	env := []string{
		"LC_ALL=C",
		"TZ=UTC",
		"HOME=" + r.dir,
		"TMPDIR=" + r.dir,
		"KRB5CCNAME=FILE:" + r.path(cacheName),
		"KRB5RCACHETYPE=none",
		"KRB5RCACHENAME=none:",
	}
	for _, name := range []string{"PATH", "KRB5_CONFIG"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
