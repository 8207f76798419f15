package main

import (
	"context"
	"fmt"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// A witness asks for one ticket again and again and notes how long that takes.
type witness struct {
	stage  *stage
	ticket []byte
}

const witnessEvery = 100 * time.Millisecond

func newWitness(s *stage) *witness {
	return &witness{s, makeTicket(s.random(witnessUID), person("witness"), service("witnessed"), 1200, longLife)}
}

func (w *witness) cache() []byte { return name(fmt.Sprint(witnessUID)) }

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
	defer c.close()
	if _, err := c.call(kcm.OpReplace, w.cache(), make([]byte, 4), person("witness").Append(nil), credentialList([][]byte{w.ticket})); err != nil {
		return err
	}
	for sleep(ctx, witnessEvery) {
		start := time.Now()
		got, err := c.call(kcm.OpRetrieve, w.cache(), matchServer(service("witnessed")))
		took := time.Since(start)
		if err != nil {
			return err
		}
		if string(got) != string(w.ticket) {
			return fmt.Errorf("the ticket has become another one (%d bytes, want %d)", len(got), len(w.ticket))
		}
		w.stage.tally.waited.add(took)
	}
	return nil
}
