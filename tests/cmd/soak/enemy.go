package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// An enemy has hostile conversations, on the sockets of all namespaces and on the bus:
// requests of any kind and size, in pieces, unfinished, and with replies that it does
// not read. What it does at a time follows from the seed. That it is cut off is no
// fault; the daemon's figures are (watchBudgets), and so is what others miss.
type enemy struct {
	stage  *stage
	uid    int
	random *rand.Rand
	conns  []net.Conn
}

// The uids of enemies must be known to the machine: these are on every Debian.
var enemyUIDs = []int{3, 4, 5, 6, 9, 10, 13, 38}

// namespaces are those of the sockets besides the usual one.
var namespaces = []string{"guests", "lab"}

const (
	enemyPause = 20 * time.Millisecond
	// mostConns is how many connections an enemy keeps.
	mostConns = 300
)

func newEnemy(s *stage, uid int) *enemy {
	return &enemy{stage: s, uid: uid, random: s.random(uint64(2000 + uid))}
}

func (e *enemy) play(ctx context.Context) error {
	err := e.stage.repeat(ctx, enemyPause, func(context.Context) error {
		_ = e.converse() // an error is the end of this conversation
		if len(e.conns) > mostConns || e.random.IntN(20) == 0 {
			e.leave()
		}
		return nil
	})
	e.leave()
	return errors.Join(err, e.clear())
}

func (e *enemy) leave() {
	for _, c := range e.conns {
		c.Close()
	}
	e.conns = nil
}

// sockets returns the paths of all sockets.
func (s *stage) sockets() []string {
	list := []string{s.life.daemon.Socket}
	for _, n := range namespaces {
		list = append(list, s.life.daemon.SocketPath(n))
	}
	return list
}

// writeSockets writes a configuration with a socket for each namespace.
func (s *stage) writeSockets(file string) error {
	var config string
	for i, path := range s.sockets() {
		config += fmt.Sprintf("[[socket]]\npath = %q\n", path)
		if i > 0 {
			config += fmt.Sprintf("namespace = %q\n", namespaces[i-1])
		}
	}
	return os.WriteFile(file, []byte(config), 0o600)
}

func (e *enemy) converse() error {
	if e.random.IntN(8) == 0 {
		return e.converseOnBus()
	}
	c, err := e.dial(e.stage.sockets()[e.random.IntN(1+len(namespaces))])
	if err != nil {
		return err
	}
	for range 1 + e.random.IntN(30) {
		if _, err := c.Write(e.piece()); err != nil {
			return err
		}
		if e.random.IntN(3) == 0 {
			continue // and does not read
		}
		if _, _, err := kcm.ReadReply(c); err != nil {
			return err
		}
	}
	return nil
}

func (e *enemy) dial(path string) (net.Conn, error) {
	c, err := lab.DialAs(e.uid, path, time.Second)
	if err != nil {
		return nil, err
	}
	e.conns = append(e.conns, c)
	e.stage.tally.hostile.Add(1)
	return c, c.SetDeadline(time.Now().Add(time.Second))
}

// piece returns a request, or what is none.
func (e *enemy) piece() []byte {
	whole := kcm.AppendRequest(nil, e.opcode(), e.arguments())
	switch e.random.IntN(12) {
	case 0: // unfinished
		return whole[:e.random.IntN(len(whole))]
	case 1: // another length
		binary.BigEndian.PutUint32(whole, e.random.Uint32N(1<<uint(1+e.random.IntN(31))))
		return whole
	case 2: // any bytes
		return noise(e.random, 1+e.random.IntN(1000))
	case 3: // many at once
		var all []byte
		for range 1 + e.random.IntN(200) {
			all = append(all, whole[:min(len(whole), 4<<10)]...)
		}
		return all
	}
	return whole
}

func (e *enemy) opcode() kcm.Opcode {
	switch e.random.IntN(10) {
	case 0:
		return kcm.Opcode(e.random.IntN(1 << 16))
	case 1, 2:
		return kcm.OpGetCredList + kcm.Opcode(e.random.IntN(2)) // or REPLACE
	}
	return kcm.Opcode(e.random.IntN(29))
}

// arguments returns what any of the operations takes, or nearly.
func (e *enemy) arguments() []byte {
	args := kcm.AppendName(nil, e.cacheName())
	switch e.random.IntN(8) {
	case 0:
		args = e.principal().Append(args)
	case 1, 2:
		args = append(args, e.ticket().Bytes()...)
	case 3:
		args = kcm.AppendMatch(args, e.match())
	case 4:
		args = kcm.AppendName(args, e.cacheName())
	case 5: // as REPLACE has them
		args = e.principal().Append(append(args, 0, 0, 0, 0))
		var list []*ccache.Credential
		for range e.random.IntN(1 << e.random.IntN(12)) {
			list = append(list, e.ticket())
		}
		args = kcm.AppendCredentialList(args, list)
	case 6:
		args = append(args, noise(e.random, e.random.IntN(200))...)
	}
	if e.random.IntN(10) == 0 && len(args) > 0 { // a bit of it is wrong
		args[e.random.IntN(len(args))] ^= 1 << e.random.IntN(8)
	}
	return args
}

func (e *enemy) cacheName() string {
	switch e.random.IntN(20) {
	case 0:
		return strconv.Itoa(enemyUIDs[e.random.IntN(len(enemyUIDs))]) // another's
	case 1:
		return string(noise(e.random, e.random.IntN(400)))
	}
	return fmt.Sprintf("%d:%d", e.uid, e.random.IntN(50))
}

func (e *enemy) principal() ccache.Principal {
	p := person("enemy")
	for range e.random.IntN(1 << e.random.IntN(7)) {
		p.Components = append(p.Components, string(noise(e.random, e.random.IntN(100))))
	}
	return p
}

func (e *enemy) ticket() *ccache.Credential {
	size := e.random.IntN(1 << e.random.IntN(12))
	if e.random.IntN(200) == 0 {
		size = e.random.IntN(9 << 20)
	}
	life := time.Duration(e.random.IntN(200)-100) * time.Second
	c := makeTicket(e.random, person("enemy"), service(strconv.Itoa(e.random.IntN(1000))), size, life)
	for range e.random.IntN(1 << e.random.IntN(10)) {
		c.AuthData = append(c.AuthData, ccache.AuthData{})
	}
	return c
}

func (e *enemy) match() *ccache.Match {
	m := &ccache.Match{Flags: ccache.MatchFlags(e.random.Uint32()), EndTime: e.random.Uint32(), IsSKey: e.random.IntN(2) == 0}
	if e.random.IntN(2) == 0 {
		server := service(strconv.Itoa(e.random.IntN(1000)))
		m.Server = &server
	}
	return m
}

// converseOnBus calls any methods, and reads some of the answers.
func (e *enemy) converseOnBus() error {
	w, err := lab.DialBusAs(e.uid, e.stage.bus.Address, time.Second)
	if err != nil {
		return err
	}
	e.conns = append(e.conns, w)
	e.stage.tally.hostile.Add(1)
	cache := fmt.Sprintf("%s/user/%d/cache/%x", managerPath, e.uid, noise(e.random, 16))
	options := map[string]any{}
	calls := []func() error{
		func() error {
			return w.Send(lab.BusName, managerPath, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
		},
		func() error { return w.Send(lab.BusName, managerPath, managerInterface+".FindCaches", "") },
		func() error { return w.Send(lab.BusName, managerPath, managerInterface+".Subscribe", options) },
		func() error {
			return w.Send(lab.BusName, managerPath, managerInterface+".SubscribeProcess", uint32(os.Getpid()), options)
		},
		func() error { return w.Send(lab.BusName, cache, cacheInterface+".ListTickets", options) },
		func() error {
			return w.Send(lab.BusName, cache, cacheInterface+".GetTicket", fmt.Sprintf("%x", noise(e.random, e.random.IntN(100))))
		},
		func() error {
			return w.Send(lab.BusName, managerPath, managerInterface+"."+strconv.Itoa(e.random.IntN(10)), e.random.Uint32())
		},
	}
	for range 1 + e.random.IntN(50) {
		if err := calls[e.random.IntN(len(calls))](); err != nil {
			return err
		}
		if e.random.IntN(2) == 0 {
			_, _ = w.Reply() // an error of the daemon is an answer
		}
	}
	return nil
}

// clear destroys all caches of the enemy.
func (e *enemy) clear() error {
	turn := e.stage.life.turn()
	for _, path := range e.stage.sockets() {
		if err := e.clearAt(path); err != nil && !e.stage.life.interrupted(turn) {
			return fmt.Errorf("cannot destroy the caches at %s: %w", path, err)
		}
	}
	return nil
}

func (e *enemy) clearAt(path string) error {
	raw, err := lab.DialAs(e.uid, path, patience)
	if err != nil {
		return err
	}
	c := client.New(raw)
	defer c.Close()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	ids, err := c.GetCacheUUIDList()
	if err != nil {
		return err
	}
	for _, id := range ids {
		name, err := c.GetCacheByUUID(id)
		if err == nil {
			err = c.Destroy(name)
		}
		if err != nil && !errors.Is(err, kcm.CCEnd) && !errors.Is(err, kcm.FCCNoFile) { // it is reaped
			return err
		}
	}
	return nil
}
