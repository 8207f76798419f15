package link

import (
	"context"
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
	if !p.known {
		p.UID, p.Label, p.known = c.credentials(p.Name)
	}
	return p.known
}

// Self returns the uid and the SELinux label of this process as the bus sees
// them. It returns false if the bus does not know.
func (c *Conn) Self() (uid uint32, label string, ok bool) { return c.credentials(c.bus.Names()[0]) }

// credentials asks the bus whose a connection is. Each thing is asked for
// singly: to the answer to GetConnectionCredentials newer buses add a file
// descriptor, which this connection does not take.
func (c *Conn) credentials(name string) (uid uint32, label string, ok bool) {
	ctx, cancel := context.WithTimeout(c.Context(), busTimeout)
	defer cancel()
	answer := c.askAbout(ctx, name, "GetConnectionUnixUser")
	if c.Labels {
		var bytes []byte
		if err := (<-c.askAbout(ctx, name, "GetConnectionSELinuxSecurityContext").Done).Store(&bytes); err != nil {
			c.Logger.Debug("the bus does not know the label of a caller", "err", err)
		}
		label = labelOf(bytes)
	}
	err := (<-answer.Done).Store(&uid)
	return uid, label, err == nil
}

// labelOf returns the label in an answer of the bus. Some buses end it with a
// zero byte.
func labelOf(answer []byte) string { return strings.TrimRight(string(answer), "\x00") }

// askAbout asks the bus one thing about a connection. It does not wait.
func (c *Conn) askAbout(ctx context.Context, name, method string) *godbus.Call {
	return c.bus.BusObject().GoWithContext(ctx, "org.freedesktop.DBus."+method, 0, make(chan *godbus.Call, 1), name)
}

// OfProcess returns the connections of a process to the bus, this one left out,
// whose user and label match. Peers that left meanwhile are not among them.
func (c *Conn) OfProcess(pid uint32, match func(uid uint32, label string) bool) ([]*Peer, error) {
	ctx, cancel := context.WithTimeout(c.Context(), busTimeout)
	defer cancel()
	w, end := c.peers.watchDepartures()
	defer end()
	var names []string
	if err := c.call(ctx, "ListNames").Store(&names); err != nil {
		return nil, err
	}
	own := c.bus.Names()[0]
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, ":") || name == own })
	answers := make([]*godbus.Call, len(names))
	for i, name := range names {
		answers[i] = c.askAbout(ctx, name, "GetConnectionUnixProcessID")
	}
	var found []string
	for i, answer := range answers {
		// A connection that left meanwhile has no process.
		var of uint32
		if err := (<-answer.Done).Store(&of); err != nil || of != pid {
			continue
		}
		if uid, label, ok := c.credentials(names[i]); ok && match(uid, label) {
			found = append(found, names[i])
		}
	}
	return c.peers.present(found, w), nil
}
