package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

// An intruder sends what is no request, and half of what is one, and goes away
// at any time. What is complete has to be answered; what is not must be gone.
type intruder struct {
	stage  *stage
	random *rand.Rand
	conns  []net.Conn
}

const (
	intruderPause = 300 * time.Millisecond
)

func newIntruder(s *stage) *intruder {
	return &intruder{stage: s, random: s.random(intruderUID)}
}

// intrusions are what an intruder does, one after the other in any order.
var intrusions = []func(*intruder) error{
	(*intruder).comeAndGo,
	(*intruder).stopHalfWay,
	(*intruder).stall,
	(*intruder).wrongLength,
	(*intruder).wrongVersion,
	(*intruder).anyArguments,
	(*intruder).pipeline,
	(*intruder).neverRead,
	(*intruder).large,
	(*intruder).crowd,
}

func (i *intruder) play(ctx context.Context) error {
	return i.stage.repeat(ctx, intruderPause, func(context.Context) error {
		defer i.leave()
		return intrusions[i.random.IntN(len(intrusions))](i)
	})
}

func (i *intruder) leave() {
	for _, c := range i.conns {
		c.Close()
	}
	i.conns = nil
}

// send connects and sends something.
func (i *intruder) send(b []byte) (net.Conn, error) {
	c, err := lab.DialAs(intruderUID, i.stage.life.daemon.Socket, patience)
	if err != nil {
		return nil, err
	}
	i.conns = append(i.conns, c)
	i.stage.tally.connections.Add(1)
	_ = c.SetDeadline(time.Now().Add(patience)) // a closed connection says so next
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	return c, nil
}

// ended checks that the daemon closes the connection without a word.
func ended(c net.Conn) error {
	b, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("the connection goes on after %v", patience)
	}
	if len(b) > 0 {
		return fmt.Errorf("an answer of %d bytes to what is no request", len(b))
	}
	return nil // closed by the daemon, or reset
}

// answered reads a reply, whatever it says.
func answered(c net.Conn) error {
	_, _, err := kcm.ReadReply(c)
	if errors.Is(err, kcm.ErrFrame) {
		return err
	}
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

func (i *intruder) whole() []byte {
	return kcm.AppendRequest(nil, kcm.OpGetPrincipal, kcm.AppendName(nil, strconv.Itoa(intruderUID)))
}

func (i *intruder) comeAndGo() error {
	for range 20 {
		if _, err := i.send(nil); err != nil {
			return err
		}
	}
	return nil
}

// stopHalfWay goes away in the middle of a request, or before it has the answer.
func (i *intruder) stopHalfWay() error {
	for range 20 {
		whole := i.whole()
		if _, err := i.send(whole[:i.random.IntN(len(whole)+1)]); err != nil {
			return err
		}
	}
	return nil
}

// stall stays in the middle of a request, until the daemon has enough of it.
func (i *intruder) stall() error {
	for range 5 {
		whole := i.whole()
		if _, err := i.send(whole[:1+i.random.IntN(len(whole)-1)]); err != nil {
			return err
		}
	}
	for _, c := range i.conns {
		if err := ended(c); err != nil {
			return err
		}
	}
	return nil
}

func (i *intruder) wrongLength() error {
	n := uint32(i.random.IntN(4))
	if i.random.IntN(2) == 0 {
		n = kcm.MaxLen + 1 + uint32(i.random.IntN(1<<30))
	}
	c, err := i.send(append(binary.BigEndian.AppendUint32(nil, n), 2, 0, 0, 20))
	if err != nil {
		return err
	}
	return ended(c)
}

func (i *intruder) wrongVersion() error {
	whole := i.whole()
	whole[4] = byte(3 + i.random.IntN(200))
	c, err := i.send(whole)
	if err != nil {
		return err
	}
	return ended(c)
}

// anyArguments sends requests with any opcode and any arguments.
func (i *intruder) anyArguments() error {
	c, err := i.send(nil)
	if err != nil {
		return err
	}
	for range 50 {
		op := kcm.Opcode(i.random.IntN(40))
		switch i.random.IntN(5) {
		case 0:
			op = kcm.OpGetCredList + kcm.Opcode(i.random.IntN(4))
		case 1:
			op = kcm.Opcode(i.random.IntN(1 << 16))
		}
		args := noise(i.random, i.random.IntN(200))
		if i.random.IntN(2) == 0 {
			args = append(kcm.AppendName(nil, strconv.Itoa(intruderUID)), args...)
		}
		if _, err := c.Write(kcm.AppendRequest(nil, op, args)); err != nil {
			return err
		}
		if err := answered(c); err != nil {
			return fmt.Errorf("%v: %w", op, err)
		}
	}
	return nil
}

// pipeline sends many requests at once and then reads the answers.
func (i *intruder) pipeline() error {
	const n = 200
	var all []byte
	for range n {
		all = append(all, i.whole()...)
	}
	c, err := i.send(all)
	if err != nil {
		return err
	}
	for range n {
		if err := answered(c); err != nil {
			return err
		}
	}
	return nil
}

// neverRead asks until nothing goes any more, and goes away.
func (i *intruder) neverRead() error {
	for range 5 {
		c, err := i.send(nil)
		if err != nil {
			return err
		}
		_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		for {
			if _, err := c.Write(i.whole()); err != nil {
				break
			}
		}
	}
	return nil
}

// large sends half of a large request.
func (i *intruder) large() error {
	claim := binary.BigEndian.AppendUint32(nil, kcm.MaxLen)
	c, err := i.send(append(append(claim, 2, 0, 0, byte(kcm.OpStore)), kcm.AppendName(nil, strconv.Itoa(intruderUID))...))
	if err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, 1+i.random.IntN(kcm.MaxLen/2))); err != nil {
		return err
	}
	return nil
}

// crowd comes with more connections than one user may have. Those that are idle
// longest are closed, so that each new one is served.
func (i *intruder) crowd() error {
	for range maxConnections + 50 {
		c, err := i.send(i.whole())
		if err != nil {
			return err
		}
		if err := answered(c); err != nil {
			return err
		}
	}
	return nil
}
