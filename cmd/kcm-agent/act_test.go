package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/dbus/client"
)

// TestOutcomes: the user is told of an action that failed, and not of one that he stopped
// or that other tickets have settled.
func TestOutcomes(t *testing.T) {
	for err, told := range map[error]bool{
		nil: false, prompt.ErrCancelled: false, context.Canceled: false, client.ErrSuperseded: false,
		client.ErrKDCUnreachable: true, errors.New("other"): true,
	} {
		if err != nil {
			err = fmt.Errorf("renew: %w", err)
		}
		a := new(agent)
		a.done(result{action: show.Action{Verb: show.Renew}, err: err})
		if got := len(a.failed) > 0; got != told {
			t.Errorf("%v: told %v, want %v", err, got, told)
		}
	}
}
