package dbus

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// identify finds out whose connection p is.
func (b *bus) identify(p *peer) error {
	if p.known {
		return nil
	}
	c, err := b.credentials(p.name)
	if err != nil {
		return err
	}
	v, err := b.viewOf(c)
	if err != nil {
		return err
	}
	b.peers.meet(p, v)
	return nil
}

// viewOf returns the view that a connection with those credentials begins with.
// A session bus is one user's, and shows nothing of anybody else's.
func (b *bus) viewOf(c credentials) (view, error) {
	if b.Session && c.uid != uint32(os.Geteuid()) {
		return view{}, errOtherUser
	}
	v := viewOf(c.uid, "")
	if b.Session {
		v.all = false
	}
	var err error
	if b.Level != nil {
		if v.level, err = b.Level(c.label); err != nil {
			b.Logger.Debug("cannot tell a caller's level", "uid", c.uid, "label", text(c.label), "err", err)
			return view{}, errUnknownLevel
		}
	}
	return v, nil
}

// ownView returns the view of this process.
func (b *bus) ownView() (view, error) {
	c, err := b.credentials(b.conn.Names()[0])
	if err != nil {
		return view{}, err
	}
	return b.viewOf(c)
}

// busTimeout is for the bus to answer a question.
const busTimeout = 10 * time.Second

// credentials are what the bus says of a connection.
type credentials struct {
	uid   uint32
	label string // SELinux label; "" where there is none, or labels do not count
}

// Why a caller is not served at all.
var (
	errUnknownUID   = &fault{errAccessDenied, "the bus does not say which user you are"}
	errUnknownLevel = &fault{errAccessDenied, "your SELinux label has no level"}
	errOtherUser    = &fault{errAccessDenied, "this is another user's service"}
)

// credentials asks the bus whose a connection is. Each thing is asked for
// singly: to the answer to GetConnectionCredentials newer buses add a file
// descriptor, which this connection does not take.
func (b *bus) credentials(name string) (c credentials, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, busTimeout)
	defer cancel()
	uid := b.askAbout(ctx, name, "GetConnectionUnixUser")
	if b.Level != nil {
		var label []byte
		if err := (<-b.askAbout(ctx, name, "GetConnectionSELinuxSecurityContext").Done).Store(&label); err != nil {
			b.Logger.Debug("the bus does not know the label of a caller", "err", err)
		}
		c.label = strings.TrimRight(string(label), "\x00")
	}
	if err := (<-uid.Done).Store(&c.uid); err != nil {
		return c, errUnknownUID
	}
	return c, nil
}

// askAbout asks the bus one thing about a connection. It does not wait.
func (b *bus) askAbout(ctx context.Context, name, method string) *godbus.Call {
	return b.conn.BusObject().GoWithContext(ctx, "org.freedesktop.DBus."+method, 0, make(chan *godbus.Call, 1), name)
}

// connections returns the names of the connections to the bus that the process
// pid has, if it runs as the same user as v, and at the same level.
func (b *bus) connections(ctx context.Context, pid uint32, v view) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	var names []string
	if err := b.call(ctx, "ListNames").Store(&names); err != nil {
		return nil, err
	}
	own := b.conn.Names()[0] // it has nothing to tell itself
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, ":") || name == own })
	answers := make([]*godbus.Call, len(names))
	for i, name := range names {
		answers[i] = b.askAbout(ctx, name, "GetConnectionUnixProcessID")
	}
	var found []string
	for i, answer := range answers {
		// Connections that left meanwhile have no process.
		var of uint32
		if err := (<-answer.Done).Store(&of); err != nil || of != pid {
			continue
		}
		c, err := b.credentials(names[i])
		if err != nil || c.uid != v.uid {
			continue
		}
		if of, err := b.viewOf(c); err == nil && of.level == v.level {
			found = append(found, names[i])
		}
	}
	return found, nil
}
