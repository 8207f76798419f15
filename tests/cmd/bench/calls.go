package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// callers have the peers do steps by calls of libkrb5, each client a process of
// its own.
type callers struct {
	bench   *bench
	clients []*driver
}

func (w *callers) begin(s scene) (err error) {
	if w.clients, err = w.bench.clients(s.Clients); err != nil {
		return err
	}
	for _, d := range w.clients {
		if err := d.do("client", strconv.Itoa(d.number), strconv.Itoa(s.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// otherCaches is how many caches there are besides the one that is measured.
const otherCaches = 9

func (w *callers) prepare(s scene, p *peer) error {
	if p.isEcho() {
		return nil
	}
	for i, d := range w.clients {
		if err := d.place(p); err != nil {
			return err
		}
		if err := d.fill(p, s.Tickets, i > 0, w.bench.budget(p)); err != nil {
			return err
		}
	}
	if !p.collects {
		return nil
	}
	return w.clients[0].do("caches", strconv.Itoa(p.place), strconv.Itoa(otherCaches))
}

// cannot also tells the clients of the echo how much they exchange.
func (w *callers) cannot(s scene, st step, p *peer) error {
	if !p.isEcho() {
		if st.collection && !p.collects {
			return fmt.Errorf("%w: there is one cache of this type", errNot)
		}
		return nil
	}
	x, ok := exchangeOf(st.name, s.Tickets, s.Bytes)
	if !ok {
		return fmt.Errorf("%w: it is more than one exchange", errNot)
	}
	for _, d := range w.clients {
		if err := d.do("echo", strconv.Itoa(p.place), p.socket, strconv.Itoa(x.request), strconv.Itoa(x.reply)); err != nil {
			return err
		}
	}
	return nil
}

func (w *callers) turn(s scene, st step, p *peer, r *result) error {
	count := maxCount
	if st.changes && p.tombstones {
		if err := w.clients[0].fill(p, s.Tickets, false, w.bench.budget(p)); err != nil {
			return err
		}
		count = 16 + s.Tickets/8
	}
	processor := processorOf(len(r.Turns))
	if s.Clients > 1 {
		processor = anywhere // they are to get in each other's way
	}
	letGo, err := confine(p.pid, processor)
	if err != nil {
		return err
	}
	failure := w.measure(s, st, p, r, count, processor)
	return errors.Join(failure, letGo())
}

// measure has all clients do a step at once.
func (w *callers) measure(s scene, st step, p *peer, r *result, count, processor int) error {
	before, err := p.processorTime()
	if err != nil {
		return err
	}
	// With several clients a moment is longer, for all to have begun in it.
	moment := w.bench.options.slice * time.Duration(min(s.Clients, 8))
	for _, d := range w.clients {
		if err := d.step(p, st.name, count, moment, processor); err != nil {
			return err
		}
	}
	var failure error
	var took series
	for _, d := range w.clients {
		got, err := d.receiveSlice()
		if err != nil {
			failure = err
			continue
		}
		took = append(took, got.took...)
		r.Client += got.processor
	}
	r.turn(took)
	if failure != nil {
		return failure
	}
	after, err := p.processorTime()
	r.Server += after - before
	return err
}

func (w *callers) end(p *peer) error {
	for i, d := range w.clients {
		if !d.placed[p] || i > 0 && !p.private {
			continue
		}
		if err := d.do("clear", strconv.Itoa(p.place), strconv.Itoa(otherCaches)); err != nil {
			return err
		}
	}
	return nil
}
