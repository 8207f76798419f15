package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A witness asks for one ticket again and again and notes how long that takes.
type witness struct {
	stage  *stage
	ticket *ccache.Credential
}

const witnessEvery = 100 * time.Millisecond

func newWitness(s *stage) *witness {
	return &witness{s, makeTicket(s.random(witnessUID), person("witness"), service("witnessed"), 1200, longLife)}
}

func (w *witness) cache() string { return fmt.Sprint(witnessUID) }

func (w *witness) play(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.stage.life.await(ctx); err != nil {
			return err
		}
		if err := w.watch(ctx); err != nil && !w.stage.excused(err) {
			return err
		}
	}
	return nil
}

// watch watches over one connection.
func (w *witness) watch(ctx context.Context) error {
	c, err := w.stage.dial(witnessUID)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Replace(w.cache(), 0, person("witness"), []*ccache.Credential{w.ticket}); err != nil {
		return err
	}
	for sleep(ctx, witnessEvery) {
		start := time.Now()
		got, err := c.Retrieve(w.cache(), to(service("witnessed")))
		took := time.Since(start)
		if err != nil {
			return err
		}
		if !same(got, w.ticket) {
			return errors.New("the ticket is not the stored one")
		}
		w.stage.tally.waited.add(took)
	}
	return nil
}
