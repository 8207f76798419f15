package system

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// Objects and methods on the bus.
const (
	managerPath = "/org/kcmd/KCM1"
	manager     = lab.BusName + ".Manager."
	cacheMethod = lab.BusName + ".Cache."
	allObjects  = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
)

// A busMove is something that a user does on the bus that means harm. It ends at a
// time.
type busMove struct {
	name string
	play func(a *busAttack, end time.Time) error
}

// A busAttack is one user's, on the bus and the socket.
type busAttack struct {
	uid         int
	socket, bus string
	conns       []*lab.BusWire
}

// The users of the moves on the bus, which every Debian has: others cannot connect.
var busUIDs = []int{1, 2, 7, 8}

var busMoves = []busMove{
	{"calls with large answers, unread", func(a *busAttack, end time.Time) error {
		cache, err := a.largeCache()
		if err != nil {
			return err
		}
		for range 60 {
			w, err := a.dial()
			if err != nil {
				return err
			}
			for range 50 {
				if err := w.Send(lab.BusName, cache, cacheMethod+"ListTickets", options()); err != nil {
					return err
				}
			}
		}
		time.Sleep(min(time.Second, time.Until(end)))
		return nil
	}},
	{"subscriptions, unread, and changes without a pause", func(a *busAttack, end time.Time) error {
		for range 60 {
			w, err := a.dial()
			if err != nil {
				return err
			}
			if err := w.Send(lab.BusName, managerPath, manager+"Subscribe", options()); err != nil {
				return err
			}
		}
		c, err := dialAs(a.uid, a.socket)
		if err != nil {
			return err
		}
		defer c.Close()
		for i := 0; time.Now().Before(end); i++ {
			cache := name(fmt.Sprintf("%d:%d", a.uid, i%20))
			if err := succeeded(c.call(opReplace, cache, be32(0), principal("mallory"), be32(1), data(string(tgt())))); err != nil {
				return err
			}
		}
		return nil
	}},
	{"subscriptions of a process with many connections", func(a *busAttack, end time.Time) error {
		for range 100 {
			if _, err := a.dial(); err != nil {
				return err
			}
		}
		for i := 0; time.Now().Before(end); i++ {
			w := a.conns[i%len(a.conns)]
			if err := w.Send(lab.BusName, managerPath, manager+"SubscribeProcess", uint32(os.Getpid()), options()); err != nil {
				return err
			}
		}
		return nil
	}},
	{"all objects and all caches, without a pause", func(a *busAttack, end time.Time) error {
		if _, err := a.largeCache(); err != nil {
			return err
		}
		w, err := a.dial()
		if err != nil {
			return err
		}
		for time.Now().Before(end) {
			if err := w.Send(lab.BusName, managerPath, allObjects); err != nil {
				return err
			}
			if err := w.Send(lab.BusName, managerPath, manager+"FindCaches", ""); err != nil {
				return err
			}
			if _, err := w.Reply(); err != nil {
				return err
			}
		}
		return nil
	}},
}

func options() map[string]any { return map[string]any{} }

// largeCache makes a cache of many tickets and returns its path.
func (a *busAttack) largeCache() (string, error) {
	c, err := dialAs(a.uid, a.socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	const tickets = 5000
	request := append(append(name(strconv.Itoa(a.uid)+":large"), be32(0)...), principal("mallory")...)
	request = append(request, be32(tickets)...)
	for i := range tickets {
		request = append(request, data(string(credential(strconv.Itoa(i))))...)
	}
	if err := succeeded(c.call(opReplace, request)); err != nil {
		return "", err
	}
	code, ids, err := c.call(opGetCacheUUIDs)
	if err != nil || code != 0 || len(ids) < 16 {
		return "", fmt.Errorf("code %d, %d bytes, %v", code, len(ids), err)
	}
	return fmt.Sprintf("%s/user/%d/cache/%x", managerPath, a.uid, ids[:16]), nil
}

// dial connects to the bus. leave closes the connection.
func (a *busAttack) dial() (*lab.BusWire, error) {
	w, err := lab.DialBusAs(a.uid, a.bus, patience)
	if err == nil {
		a.conns = append(a.conns, w)
	}
	return w, err
}

func (a *busAttack) leave() {
	for _, w := range a.conns {
		w.Close()
	}
	a.conns = nil
}

// A system bus for the tests of several users.
func newSystemBus(t *testing.T, l *lab.Lab) *lab.Bus {
	t.Helper()
	policy, err := os.ReadFile("../../data/dbus/org.kcmd.KCM1.conf")
	if err != nil {
		t.Fatal(err)
	}
	bus, err := l.NewBus(lab.SystemBus, string(policy))
	if err != nil {
		t.Fatal(err)
	}
	return bus
}
