package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// mostTold is how much of a program's output an error tells, in bytes.
const mostTold = 1000

// run runs a program to its end and returns its output and its errors as one
// text. One that does not end is killed. An error tells that text.
func (s *stage) run(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := lab.Start(cmd); err != nil {
		return "", err
	}
	s.tally.programs.Add(1)
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		err = fmt.Errorf("it did not end within %v", patience)
	}
	if err != nil {
		said := out.String()
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said[:min(len(said), mostTold)])
	}
	return out.String(), err
}

// repeat does something again and again until ctx is done. What fails while the
// daemon is being restarted is no fault: then it begins anew.
func (s *stage) repeat(ctx context.Context, pause time.Duration, do func(context.Context) error) error {
	for sleep(ctx, pause) {
		turn := s.life.turn()
		err := do(ctx)
		if err != nil && s.life.interrupted(turn) {
			err = s.life.await(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
