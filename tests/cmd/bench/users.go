package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

const (
	// firstUID is the first of the other users.
	firstUID = 20_000
	// othersTickets is how many tickets each of them has.
	othersTickets = 2
	// atOnce is how many of them store their tickets at the same time.
	atOnce = 8
)

// manyUsers measures one user while others have something stored.
func (b *bench) manyUsers() error {
	if os.Getuid() != 0 {
		for _, n := range b.options.users {
			for _, p := range b.peers {
				r := b.results.add(circumstances{byCalls, b.options.tickets[0], usualSize, 1, n}, "retrieve", p.name)
				r.Failure = fmt.Errorf("%w: only root can be other users", errNot)
			}
		}
		return nil
	}
	for _, n := range b.options.users {
		for _, p := range b.peers {
			if !p.isKCM || p.failure != nil {
				continue
			}
			b.progress(fmt.Sprintf("storing for %d other users: %s", n, p.name))
			if err := b.storeOthers(p, n); err != nil {
				p.failure = fmt.Errorf("cannot store for other users: %w", err)
			}
		}
		c := circumstances{byCalls, b.options.tickets[0], usualSize, 1, n}
		steps := b.options.wanted("open", "retrieve", "collection", "store")
		if err := b.play(scene{c, steps, &callers{bench: b}}); err != nil {
			return err
		}
	}
	return nil
}

// storeOthers has others store their tickets until there are n who have, or time
// is up.
func (b *bench) storeOthers(p *peer, n int) error {
	deadline := time.Now().Add(b.options.fillBudget)
	var mu sync.Mutex
	var failure error
	var next, done atomic.Int64
	next.Store(int64(p.others))
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for time.Now().Before(deadline) {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := b.storeOther(p, firstUID+i); err != nil {
					mu.Lock()
					failure = errors.Join(failure, err)
					mu.Unlock()
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	p.others += int(done.Load())
	return failure
}

// storeOther has one other user store tickets.
func (b *bench) storeOther(p *peer, uid int) error {
	conn, err := lab.DialAs(uid, p.socket, b.options.fillBudget)
	if err != nil {
		return err
	}
	c := kcm.NewClient(conn)
	defer c.Close()
	return fillByFrames(c, p, strconv.Itoa(uid), othersTickets, usualSize, answerPatience)
}
