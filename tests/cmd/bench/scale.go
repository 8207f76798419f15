package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

const (
	ticketsEach = 10  // of each stored user, in one cache
	activeUsers = 100 // who then read their tickets
	starts      = 5   // of the daemon
)

// A scaleResult has the figures of one kcmd with so many users stored.
type scaleResult struct {
	Peer     string `json:"peer"`
	Users    int    `json:"users"`
	File     int64  `json:"file_bytes"`
	Start    series `json:"start,omitempty"` // to the first answer
	Memory   int64  `json:"memory_bytes"`    // then
	Active   int64  `json:"active_memory_bytes,omitempty"`
	Due      series `json:"due,omitempty"`      // query for expired caches
	Retrieve series `json:"retrieve,omitempty"` // of one user
	Store    series `json:"store,omitempty"`
	// On a bus, by busctl:
	BusStart     series  `json:"bus_start,omitempty"`
	BusMemory    int64   `json:"bus_memory_bytes,omitempty"`
	Objects      series  `json:"objects,omitempty"` // GetManagedObjects of one user
	Ping         series  `json:"ping,omitempty"`
	Listed       series  `json:"listed,omitempty"` // ListCollections of root
	ListedMemory int64   `json:"listed_memory_bytes,omitempty"`
	Failure      failure `json:"failure,omitzero"`
}

// scale measures kcmd with many users stored.
func (b *bench) scale() error {
	for _, n := range b.options.stored {
		for _, name := range b.fullNames() {
			r := &scaleResult{Peer: name, Users: n}
			b.scaleResults = append(b.scaleResults, r)
			r.Failure = failed(b.withLab(func(l *lab.Lab) error { return b.measureScale(r, l) }))
		}
	}
	return nil
}

// fullNames are the peers of kind kcmd-full.
func (b *bench) fullNames() []string {
	var names []string
	for _, name := range b.peerNames() {
		if findKind(name).name == "kcmd-full" {
			names = append(names, name)
		}
	}
	return names
}

func (b *bench) withLab(f func(*lab.Lab) error) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	return f(l)
}

func (b *bench) measureScale(r *scaleResult, l *lab.Lab) (err error) {
	d := l.NewDaemon(b.program(r.Peer))
	b.progress(fmt.Sprintf("storing for %d users", r.Users))
	if err := makeStore(d.Database, r.Users); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(d.Database + suffix); err == nil {
			r.File += info.Size()
		}
	}
	if r.Due, err = findDue(d.Database); err != nil {
		return err
	}
	b.progress(fmt.Sprintf("with %d users stored", r.Users))
	if r.Start, r.Memory, err = restart(d); err != nil {
		return err
	}
	if err := b.oneUser(r, d); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return d.Stop()
	}
	for i := range activeUsers {
		if err := ask(scaleUID(i+1), d.Socket, scaleCache(i+1)); err != nil {
			return err
		}
	}
	if r.Active, err = memoryOf(d.PID()); err != nil {
		return err
	}
	if err := d.Stop(); err != nil || lab.Missing(lab.BusPrograms...) != nil {
		return err
	}
	b.progress(fmt.Sprintf("with %d users stored, on a bus", r.Users))
	return b.onBus(r, l, d)
}

// makeStore writes a database with ten tickets of each user. It uses this tree's
// store, which for --against must have the same schema.
func makeStore(path string, users int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, path, sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		return err
	}
	store := ccstore.Open(backend, ccstore.Options{})
	err = storeUsers(ctx, store, users)
	err = errors.Join(err, store.Close())
	unix.Sync() // a later measurement must not wait for this
	return err
}

// storeUsers stores for many users at once, who then share transactions.
func storeUsers(ctx context.Context, store *ccstore.Store, users int) error {
	const atOnce = 64
	list := tickets(ticketsEach)
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, atOnce)
	for range atOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < users; i = int(next.Add(1)) - 1 {
				owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(scaleUID(i))}
				if err := store.Update(ctx, owner, func(tx *ccstore.Tx) error {
					tx.Replace(scaleCache(i), alice, 0, list)
					return nil
				}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// scaleUID returns the uid of a stored user. The first is our own, the second is
// "daemon", whom every system has: a bus looks its users up.
func scaleUID(i int) int {
	switch i {
	case 0:
		return os.Getuid()
	case 1:
		return 1
	}
	return firstUID + i
}

func scaleCache(i int) string {
	if i == 0 {
		return kcmCache
	}
	return strconv.Itoa(scaleUID(i))
}

// restart starts a daemon several times and leaves it running. It returns the
// times to the first answer, and the memory then.
func restart(d *lab.Daemon) (took series, memory int64, err error) {
	for i := range starts {
		if i > 0 {
			if err := d.Stop(); err != nil {
				return nil, 0, err
			}
		}
		start := time.Now()
		if err := d.Start(noLimits...); err != nil {
			return nil, 0, err
		}
		if err := ask(os.Getuid(), d.Socket, scaleCache(0)); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(start))
	}
	memory, err = memoryOf(d.PID())
	return took, memory, err
}

// ask has a user read the tickets of a cache.
func ask(uid int, socket, cache string) error {
	return asUser(uid, socket, func(c *client.Client) error {
		list, err := c.GetCredList(cache)
		if err == nil && len(list) < ticketsEach {
			err = fmt.Errorf("user %d has %d tickets", uid, len(list))
		}
		return err
	})
}

// oneUser measures ourselves.
func (b *bench) oneUser(r *scaleResult, d *lab.Daemon) error {
	p := b.newPeer(fmt.Sprintf("%s-%d-users", r.Peer, r.Users))
	p.isKcmd, p.tidy = true, true
	if err := b.kcmCaches(p, d.Socket); err != nil {
		return err
	}
	clients, err := b.clients(usual(ticketsEach))
	if err != nil {
		return err
	}
	if err := clients[0].place(p); err != nil {
		return err
	}
	if err := clients[0].do("fill", strconv.Itoa(p.place), strconv.Itoa(ticketsEach), "there", "0"); err != nil {
		return err
	}
	if r.Retrieve, err = together(clients, p, "retrieve", maxCount, time.Second, anyProcessor); err != nil {
		return err
	}
	r.Store, err = together(clients, p, "store", maxCount, time.Second, anyProcessor)
	return err
}

// onBus measures the daemon on a bus.
func (b *bench) onBus(r *scaleResult, l *lab.Lab, d *lab.Daemon) (err error) {
	if d.Bus, err = systemBus(l, b.options.root); err != nil {
		return err
	}
	if r.BusStart, r.BusMemory, err = restart(d); err != nil {
		return err
	}
	for _, call := range []struct {
		times, uid         int
		took               *series
		interface_, method string
	}{
		{20, scaleUID(1), &r.Objects, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"},
		{20, scaleUID(1), &r.Ping, "org.freedesktop.DBus.Peer", "Ping"},
		{5, os.Getuid(), &r.Listed, lab.BusName + ".Manager", "ListCollections"},
	} {
		for range call.times {
			start := time.Now()
			if err := busctl(d, call.uid, call.interface_, call.method); err != nil {
				return err
			}
			*call.took = append(*call.took, time.Since(start))
		}
	}
	r.ListedMemory, err = memoryOf(d.PID())
	return errors.Join(err, d.Stop())
}

// busctl has a user call a method of the daemon's root object.
func busctl(d *lab.Daemon, uid int, method ...string) error {
	cmd := exec.Command("busctl", append([]string{"--system", "--timeout=300", "call", lab.BusName, "/org/kcmd/KCM1"}, method...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C.UTF-8", d.Bus.Env()}
	lab.As(cmd, uint32(uid))
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := lab.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", method[1], err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// findDue queries the database for expired caches, of which there are none.
func findDue(path string) (took series, err error) {
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	for range 100 {
		start := time.Now()
		due, err := backend.Due(ctx, ccstore.Reaping, math.MinInt64, start.Unix(), 1000)
		if err != nil || len(due) > 0 {
			return nil, errors.Join(fmt.Errorf("%d caches have expired", len(due)), err, backend.Close())
		}
		took = append(took, time.Since(start))
	}
	return took, backend.Close()
}

// A growthResult is kcmd's memory before and after there is more of something.
type growthResult struct {
	Peer    string  `json:"peer"`
	What    string  `json:"what"`
	Number  int     `json:"number"`
	Before  int64   `json:"before_bytes"`
	After   int64   `json:"after_bytes"`
	Failure failure `json:"failure,omitzero"`
}

// A growth makes more of something.
type growth struct {
	what   string
	number int
	bus    bool // the daemon is on a system bus
	root   bool // needs root
	more   func(d *lab.Daemon, n int) error
}

var growths = []growth{
	{what: "tickets in one cache", number: 10_000, more: func(d *lab.Daemon, n int) error {
		return replaceAs(d, os.Getuid(), kcmCache, n)
	}},
	{what: "caches of one user, a ticket each", number: 1000, more: func(d *lab.Daemon, n int) error {
		return each(n, func(i int) error { return replaceAs(d, os.Getuid(), kcmCache+strconv.Itoa(i), 1) })
	}},
	{what: "active users, 10 tickets each", number: 1000, root: true, more: moreUsers},
	{what: "idle connections", number: 1000, more: func(d *lab.Daemon, n int) error {
		return each(n, func(int) error {
			c, err := client.Dial(context.Background(), d.Socket) // closed at our end
			if err == nil {
				_, err = c.GetDefaultCache()
			}
			return err
		})
	}},
	{what: "active users, 10 tickets each, on a bus", number: 1000, bus: true, root: true, more: moreUsers},
	{what: "subscribers on a bus", number: 50, bus: true, root: true, more: func(d *lab.Daemon, n int) error {
		return each(n, func(i int) error {
			_, err := d.Bus.NewMonitor(strconv.Itoa(i), uint32(os.Getuid()))
			return err
		})
	}},
}

func each(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func moreUsers(d *lab.Daemon, n int) error {
	return each(n, func(i int) error { return replaceAs(d, firstUID+i, strconv.Itoa(firstUID+i), ticketsEach) })
}

// replaceAs fills a cache, as far as possible in one request.
func replaceAs(d *lab.Daemon, uid int, cache string, n int) error {
	const most = 6000 // in the 10 MiB of a request
	return asUser(uid, d.Socket, func(c *client.Client) error {
		err := c.Replace(cache, 0, alice, tickets(min(n, most)))
		for i := most; i < n && err == nil; i++ {
			err = c.Store(cache, ticket(i, usualSize))
		}
		return err
	})
}

// grow measures what grows with what.
func (b *bench) grow() error {
	for _, name := range b.fullNames() {
		for _, g := range growths {
			if g.root && os.Getuid() != 0 || g.bus && lab.Missing(lab.BusPrograms...) != nil {
				continue
			}
			b.progress("growth: " + g.what)
			r := &growthResult{Peer: name, What: g.what, Number: g.number}
			b.growthResults = append(b.growthResults, r)
			r.Failure = failed(b.withLab(func(l *lab.Lab) error { return b.measureGrowth(r, g, l) }))
		}
	}
	return nil
}

func (b *bench) measureGrowth(r *growthResult, g growth, l *lab.Lab) (err error) {
	d := l.NewDaemon(b.program(r.Peer))
	if g.bus {
		if d.Bus, err = systemBus(l, b.options.root); err != nil {
			return err
		}
	}
	if err := d.Start(append([]string{"--max-uid-caches=0"}, noLimits...)...); err != nil {
		return err
	}
	if r.Before, err = memoryOf(d.PID()); err != nil {
		return err
	}
	if err := g.more(d, g.number); err != nil {
		return err
	}
	r.After, err = memoryOf(d.PID())
	return err
}
