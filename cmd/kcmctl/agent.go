package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// startAgent starts polkit's agent for terminals, which asks an administrator for a
// password there, and waits until polkit knows it. An agent of the desktop takes
// precedence. It returns a function that ends the agent.
func startAgent(ctx context.Context) (stop func()) {
	nothing := func() {}
	if os.Getuid() == 0 || !isTerminal(os.Stdin) {
		return nothing
	}
	ready, w, err := os.Pipe()
	if err != nil {
		return nothing
	}
	defer ready.Close()
	cmd := exec.CommandContext(ctx, "pkttyagent", "--process", strconv.Itoa(os.Getpid()), "--notify-fd", "3", "--fallback")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nothing // it is not installed: then polkit may refuse
	}
	_, _ = io.ReadAll(ready) // until the agent closes it, or ends
	return func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	}
}
