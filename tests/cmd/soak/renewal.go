package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A renewer is a user with a ticket that lives for seconds, which the daemon renews, and
// with a process: the tickets of users without one are not renewed.
type renewer struct {
	*family
	kept time.Duration // how long a ticket is looked at
}

const renewerUID = 61180

// renewedLife is how long a ticket of a renewer lives.
const renewedLife = 20 * time.Second

func newRenewer(s *stage) *renewer {
	return &renewer{family: newMIT(s, renewerUID), kept: 3 * renewedLife}
}

func (r *renewer) play(ctx context.Context) error {
	present := exec.Command("cat") // until its input ends
	lab.As(present, renewerUID)
	in, err := present.StdinPipe()
	if err != nil {
		return err
	}
	if err := present.Start(); err != nil {
		return err
	}
	defer func() {
		in.Close()
		_ = present.Wait()
	}()
	// No renewal is under way at a quiet point.
	defer func() { _ = r.say(line{command: "kdestroy -A"}) }()
	return r.stage.repeat(ctx, programPause, r.round)
}

// round gets a ticket, and looks at it for several of its lives.
func (r *renewer) round(ctx context.Context) error {
	if err := r.say(line{command: fmt.Sprintf("kinit -l %v -r 1h alice", renewedLife)}); err != nil {
		return err
	}
	if err := r.say(line{command: "kvno " + lab.Service}); err != nil {
		return err
	}
	for end := time.Now().Add(r.kept); time.Now().Before(end) && sleep(ctx, programPause); {
		if err := r.say(line{command: "klist -s"}); err != nil {
			return fmt.Errorf("a ticket was not renewed: %w", err)
		}
	}
	return nil
}
