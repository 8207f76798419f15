package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
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
	return &witness{s, makeTicket(s.random(witnessUID), user("witness"), service("witnessed"), 1200, longLife)}
}

func (w *witness) cache() []byte { return name(fmt.Sprint(witnessUID)) }

func (w *witness) play(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.stage.life.await(ctx); err != nil {
			return err
		}
		turn := w.stage.life.turn()
		if err := w.watch(ctx); err != nil && !(isBroken(err) && w.stage.life.interrupted(turn)) {
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
	if _, err := c.call(kcm.OpReplace, w.cache(), make([]byte, 4), user("witness").Append(nil), credentialList([][]byte{w.ticket})); err != nil {
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

// waits are how long answers took.
type waits struct {
	mu   sync.Mutex
	took []time.Duration
}

func (w *waits) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, d)
}

// take returns what was added since it was last called.
func (w *waits) take() quantiles {
	w.mu.Lock()
	took := w.took
	w.took = nil
	w.mu.Unlock()
	if len(took) == 0 {
		return quantiles{}
	}
	slices.Sort(took)
	n := len(took)
	return quantiles{n, took[n/2], took[n*99/100], took[n-1]}
}

// quantiles are those of how long answers took.
type quantiles struct {
	times                int
	median, most99, most time.Duration
}

func (q quantiles) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%.2f/%.1f/%.0f ms", ms(q.median), ms(q.most99), ms(q.most))
}
