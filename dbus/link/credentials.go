package link

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// busTimeout is for the bus to answer a question.
const busTimeout = 10 * time.Second

// identify finds out whose connection a peer is. It reports whether the bus
// knows it.
func (c *Conn) identify(p *Peer) bool {
	if p.identity.Load() == nil {
		if identity, ok := c.credentials(p.Name); ok {
			c.peers.identified(p, &identity)
		}
	}
	return p.identity.Load() != nil
}

// Self returns the identity of this process as the bus sees it. It returns false
// if the bus does not know.
func (c *Conn) Self() (Identity, bool) { return c.credentials(c.bus.Names()[0]) }

// credentials asks the bus whose a connection is. Each thing is asked for
// singly: to the answer to GetConnectionCredentials newer buses add a file
// descriptor, which this connection does not take.
func (c *Conn) credentials(name string) (of Identity, ok bool) {
	ctx, cancel := context.WithTimeout(c.Context(), busTimeout)
	defer cancel()
	answer := c.askAbout(ctx, name, "GetConnectionUnixUser")
	if c.Labels {
		var bytes []byte
		if err := (<-c.askAbout(ctx, name, "GetConnectionSELinuxSecurityContext").Done).Store(&bytes); err != nil {
			c.Logger.Debug("the bus does not know the label of a caller", "err", err)
		}
		of.Label = labelOf(bytes)
	}
	err := (<-answer.Done).Store(&of.UID)
	return of, err == nil
}

// labelOf returns the label in an answer of the bus. Some buses end it with a
// zero byte.
func labelOf(answer []byte) string { return strings.TrimRight(string(answer), "\x00") }

// askAbout asks the bus one thing about a connection. It does not wait.
func (c *Conn) askAbout(ctx context.Context, name, method string) *godbus.Call {
	return c.bus.BusObject().GoWithContext(ctx, "org.freedesktop.DBus."+method, 0, make(chan *godbus.Call, 1), name)
}

// OfProcess returns the connections of a process to the bus, this one left out,
// whose identity matches. The bus is asked once about each connection, however
// often a process is looked for.
func (c *Conn) OfProcess(pid uint32, match func(Identity) bool) (found []*Peer, err error) {
	ctx, cancel := context.WithTimeout(c.Context(), busTimeout)
	defer cancel()
	var names []string
	if err := c.call(ctx, "ListNames").Store(&names); err != nil {
		return nil, err
	}
	own := c.bus.Names()[0]
	all := c.peers.named(slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, ":") || name == own }))
	c.findProcesses(ctx, all)
	for _, p := range all {
		if pid != 0 && p.pid.Load() == pid && c.identify(p) && match(p.Identity()) {
			found = append(found, p)
		}
	}
	return found, nil
}

// findProcesses sets the pid of each peer that the bus knows. It asks only about
// peers that are known here: so it is noticed if one leaves while it asks, and one
// that has left before is forgotten.
func (c *Conn) findProcesses(ctx context.Context, peers []*Peer) {
	answers := make(map[*Peer]*godbus.Call)
	for _, p := range peers {
		if p.pid.Load() == 0 {
			answers[p] = c.askAbout(ctx, p.Name, "GetConnectionUnixProcessID")
		}
	}
	for p, answer := range answers {
		var pid uint32
		err := (<-answer.Done).Store(&pid)
		p.pid.Store(pid)
		if e := (godbus.Error{}); errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
			c.depart(p.Name)
		}
	}
}
