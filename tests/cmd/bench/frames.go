package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// framers have KCM servers do steps by frames, sent by one client.
type framers struct {
	bench *bench
	conns map[*peer]*kcm.Client
}

func (w *framers) begin(scene) error {
	w.conns = make(map[*peer]*kcm.Client)
	return nil
}

func (w *framers) prepare(s scene, p *peer) error {
	if p.socket == "" {
		return fmt.Errorf("%w: it is no server", errNot)
	}
	c, err := kcm.Dial(context.Background(), p.socket)
	if err != nil {
		return err
	}
	w.conns[p] = c
	if p.isEcho() {
		return nil
	}
	return fillByFrames(c, p, kcmCache, s.Tickets, s.Bytes, w.bench.budget(p))
}

// mostTogether is how many bytes of tickets may go into one request: less than
// the 10 MiB of the protocol, with what is said about them.
const mostTogether = 8 << 20

// fillByFrames makes a cache with so many tickets.
func fillByFrames(c *kcm.Client, p *peer, cache string, tickets, size int, budget time.Duration) error {
	start := time.Now()
	first := 0
	var err error
	if p.together {
		first = min(tickets, mostTogether/size)
		_, err = c.Call(kcm.OpReplace, replaceArgs(cache, first, size))
	} else {
		_, err = c.Call(kcm.OpInitialize, alice.Append(kcm.AppendName(nil, cache)))
	}
	if err != nil {
		return err
	}
	for i := first; i < tickets; i++ {
		if time.Since(start) > budget {
			return fmt.Errorf("%w: %d of %d tickets stored in %.1f s", errSlow, i, tickets, budget.Seconds())
		}
		if _, err := c.Call(kcm.OpStore, storeArgs(cache, i, size)); err != nil {
			return err
		}
	}
	return nil
}

func (w *framers) cannot(s scene, st step, _ *peer) error {
	if x, _ := exchangeOf(st.name, s.Tickets, s.Bytes); x.reply > kcm.MaxLen {
		return fmt.Errorf("%w: the reply would be larger than the protocol allows", errNot)
	}
	return nil
}

func (w *framers) turn(s scene, st step, p *peer, r *result) error {
	processor := processorOf(len(r.Turns))
	letServerGo, err := confine(p.pid, processor)
	if err != nil {
		return err
	}
	letUsGo, err := confine(os.Getpid(), processor)
	if err != nil {
		return errors.Join(err, letServerGo())
	}
	failure := w.measure(s, st, p, r)
	return errors.Join(failure, letUsGo(), letServerGo())
}

func (w *framers) measure(s scene, st step, p *peer, r *result) error {
	before, err := p.processorTime()
	if err != nil {
		return err
	}
	took, err := w.exchanges(s, st, p, time.Now().Add(w.bench.options.slice))
	r.turn(took)
	if err != nil {
		return fmt.Errorf("%s: %w", requestOf(st.name, s, 0).op, err)
	}
	after, err := p.processorTime()
	r.Server += after - before
	return err
}

// exchanges does a step until the deadline, and says what each took.
func (w *framers) exchanges(s scene, st step, p *peer, deadline time.Time) (series, error) {
	c := w.conns[p]
	var took series
	for i := 0; len(took) < maxCount; i++ {
		// The tickets come in an order that no server expects.
		q := requestOf(st.name, s, i*7919%s.Tickets)
		if p.isEcho() {
			q = echoed(st.name, s, q)
		}
		start := time.Now()
		_, err := c.Call(q.op, q.args)
		took = append(took, time.Since(start))
		var code kcm.Code
		if errors.As(err, &code) && st.name == "miss" && (code == kcm.CCNotFound || code == kcm.CCEnd) {
			err = nil
		}
		if err != nil {
			return took[:len(took)-1], err
		}
		if time.Now().After(deadline) {
			break
		}
	}
	return took, nil
}

// A request is what a step sends.
type request struct {
	op   kcm.Opcode
	args []byte
}

// requestOf is the request of a step for ticket number n. Storing is storing again
// what is there.
func requestOf(step string, s scene, n int) request {
	switch step {
	case "principal":
		return request{kcm.OpGetPrincipal, kcm.AppendName(nil, kcmCache)}
	case "retrieve":
		return request{kcm.OpRetrieve, lookUp(kcmCache, n)}
	case "miss":
		return request{kcm.OpRetrieve, lookUp(kcmCache, missing)}
	case "iterate":
		return request{kcm.OpGetCredList, kcm.AppendName(nil, kcmCache)}
	default:
		return request{kcm.OpStore, storeArgs(kcmCache, n, s.Bytes)}
	}
}

// echoed has the echo answer a request with as many bytes as a server would.
func echoed(step string, s scene, q request) request {
	x, _ := exchangeOf(step, s.Tickets, s.Bytes)
	binary.BigEndian.PutUint32(q.args, uint32(x.reply-kcm.ReplyHeaderLen))
	return q
}

func (w *framers) end(p *peer) error {
	c := w.conns[p]
	if c == nil {
		return nil
	}
	delete(w.conns, p)
	defer c.Close()
	if p.isEcho() {
		return nil
	}
	_, err := c.Call(kcm.OpDestroy, kcm.AppendName(nil, kcmCache))
	var code kcm.Code
	if errors.As(err, &code) || errors.Is(err, net.ErrClosed) {
		// It was not there, or the server has ended, which others notice.
		err = nil
	}
	return err
}
