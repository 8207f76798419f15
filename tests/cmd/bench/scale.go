package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

const (
	// ticketsEach is how many tickets each stored user has, in one cache.
	ticketsEach = 10
	// activeUsers is how many of them then use theirs.
	activeUsers = 100
	// starts is how often the daemon is started.
	starts = 5
)

// A scaleResult is what one kcmd is like with so many users stored.
type scaleResult struct {
	Peer     string
	Users    int
	Made     time.Duration // it took to make the store
	File     int64         // bytes of the database
	Start    series        // from the start to the first answer
	Memory   int64         // after that
	Active   int64         // bytes of memory with activeUsers
	Retrieve series        // of one user
	Store    series
	// With a bus:
	BusStart  series // from the start to the first answer
	BusMemory int64
	Objects   series // GetManagedObjects of one user, by busctl
	Ping      series // nothing, by busctl
	// ListCollections of root, who sees all users, and the memory after it.
	Listed       series
	ListedMemory int64
	Due          series // what has ended is found in the database
	Failure      error
}

// scale measures kcmd with many users stored.
func (b *bench) scale() error {
	for _, n := range b.options.stored {
		for _, name := range b.peerNames() {
			if k := findKind(name); k.name != "kcmd-full" {
				continue
			}
			r := &scaleResult{Peer: name, Users: n}
			b.scaleResults = append(b.scaleResults, r)
			r.Failure = b.measureScale(r)
		}
	}
	return nil
}

func (b *bench) measureScale(r *scaleResult) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	d := l.NewDaemon(b.program(r.Peer))
	b.progress(fmt.Sprintf("storing for %d users", r.Users))
	begin := time.Now()
	if err := makeStore(d.Database, r.Users); err != nil {
		return err
	}
	r.Made = time.Since(begin)
	if r.File, err = sizeOf(d.Database); err != nil {
		return err
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
	if r.Active, err = withActive(d); err != nil {
		return err
	}
	if err := d.Stop(); err != nil {
		return err
	}
	if lab.Missing(lab.BusPrograms...) != nil {
		return nil
	}
	b.progress(fmt.Sprintf("with %d users stored, on a bus", r.Users))
	return b.onBus(r, l, d)
}

// makeStore writes a database: us and other users, with ten tickets each.
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
	// What the disk still has to write of it is not to be waited for later.
	unix.Sync()
	return err
}

// storeUsers stores for many users at once, who then share transactions.
func storeUsers(ctx context.Context, store *ccstore.Store, users int) error {
	tickets := make([]*ccache.Credential, ticketsEach)
	for i := range tickets {
		tickets[i] = ticket(i, usualSize)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, 1)
	for range 64 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < users; i = int(next.Add(1)) - 1 {
				owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(scaleUID(i))}
				if err := store.Update(ctx, owner, func(tx *ccstore.Tx) error {
					tx.Replace(scaleCache(i), alice, 0, tickets)
					return nil
				}); err != nil {
					select {
					case failures <- err:
					default:
					}
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

// scaleUID is the uid of stored user number i. The first is us, the second
// "daemon", whom every system has: a bus wants to know its users.
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

// sizeOf returns the bytes of a database with its journal.
func sizeOf(database string) (int64, error) {
	var sum int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(database + suffix)
		if errors.Is(err, os.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// restart starts a daemon several times and leaves it running. It returns how long
// each took to the first answer, which is about our own tickets, and what it then
// had in memory.
func restart(d *lab.Daemon) (took series, now int64, err error) {
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
	m, err := memoryOf(d.PID())
	return took, m.now, err
}

// ask has a user read the tickets in a cache, all of which must be there.
func ask(uid int, socket, cache string) error {
	conn, err := lab.DialAs(uid, socket, answerPatience)
	if err != nil {
		return err
	}
	c := kcm.NewClient(conn)
	defer c.Close()
	list, err := c.Call(kcm.OpGetCredList, kcm.AppendName(nil, cache))
	if err == nil && len(list) < ticketsEach*usualSize {
		err = fmt.Errorf("%d has %d bytes of tickets", uid, len(list))
	}
	return err
}

// withActive has some users read their tickets, and returns what the daemon then
// has in memory.
func withActive(d *lab.Daemon) (int64, error) {
	for i := range activeUsers {
		if err := ask(scaleUID(i+1), d.Socket, scaleCache(i+1)); err != nil {
			return 0, err
		}
	}
	m, err := memoryOf(d.PID())
	return m.now, err
}

// oneUser measures us.
func (b *bench) oneUser(r *scaleResult, d *lab.Daemon) error {
	p := &peer{name: fmt.Sprintf("%s-%d-users", r.Peer, r.Users), place: b.places}
	b.places++
	p.isKcmd, p.tidy = true, true
	if err := b.kcmCaches(p, d.Socket); err != nil {
		return err
	}
	clients, err := b.clients(1)
	if err != nil {
		return err
	}
	if err := clients[0].do("client", "0", strconv.Itoa(usualSize)); err != nil {
		return err
	}
	if err := clients[0].place(p); err != nil {
		return err
	}
	if err := clients[0].do("fill", strconv.Itoa(p.place), strconv.Itoa(ticketsEach), "there", "0"); err != nil {
		return err
	}
	for step, took := range map[string]*series{"retrieve": &r.Retrieve, "store": &r.Store} {
		if err := clients[0].step(p, step, maxCount, time.Second, anywhere); err != nil {
			return err
		}
		got, err := clients[0].receiveSlice()
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		*took = got.took
	}
	return nil
}

// onBus starts the daemon again, on a bus.
func (b *bench) onBus(r *scaleResult, l *lab.Lab, d *lab.Daemon) (err error) {
	if d.Bus, err = systemBus(l, b.options.root); err != nil {
		return err
	}
	if r.BusStart, r.BusMemory, err = restart(d); err != nil {
		return err
	}
	for range 20 {
		if err := busctl(d, scaleUID(1), &r.Objects, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"); err != nil {
			return err
		}
		if err := busctl(d, scaleUID(1), &r.Ping, "org.freedesktop.DBus.Peer", "Ping"); err != nil {
			return err
		}
	}
	for range 5 {
		if err := busctl(d, os.Getuid(), &r.Listed, lab.BusName+".Manager", "ListCollections"); err != nil {
			return err
		}
	}
	m, err := memoryOf(d.PID())
	r.ListedMemory = m.now
	return errors.Join(err, d.Stop())
}

// findDue asks the database for what has ended, as the reaper does: nothing has.
func findDue(path string) (took series, err error) {
	ctx := context.Background()
	backend, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	for range 100 {
		start := time.Now()
		due, err := backend.Due(ctx, start.Unix(), 1000)
		if err != nil || len(due) > 0 {
			return nil, errors.Join(fmt.Errorf("%d caches have ended", len(due)), err, backend.Close())
		}
		took = append(took, time.Since(start))
	}
	return took, backend.Close()
}

// busctl has a user call a method of the daemon's root object.
func busctl(d *lab.Daemon, uid int, took *series, method ...string) error {
	cmd := exec.Command("busctl", append([]string{"--system", "--timeout=300", "call", lab.BusName, "/org/kcmd/KCM1"}, method...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C.UTF-8", d.Bus.Env()}
	lab.As(cmd, uint32(uid))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	start := time.Now()
	if err := lab.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", method[1], err, bytes.TrimSpace(complaint.Bytes()))
	}
	*took = append(*took, time.Since(start))
	return nil
}

func (b *bench) reportScale(w io.Writer) {
	if len(b.scaleResults) == 0 {
		return
	}
	header := []string{""}
	for _, r := range b.scaleResults {
		header = append(header, fmt.Sprintf("%s, %s users", r.Peer, thousands(r.Users)))
	}
	t := table{header}
	row := func(name string, cell func(*scaleResult) string) {
		line := []string{name}
		for _, r := range b.scaleResults {
			line = append(line, cell(r))
		}
		t = append(t, line)
	}
	row("database", func(r *scaleResult) string { return size(r.File) })
	row("made in", func(r *scaleResult) string { return fmt.Sprintf("%.1f s", r.Made.Seconds()) })
	row("start to first answer", func(r *scaleResult) string { return middle(r.Start) })
	row("memory after that", func(r *scaleResult) string { return size(r.Memory) })
	row(fmt.Sprintf("memory with %d active users", activeUsers), func(r *scaleResult) string { return size(r.Active) })
	row("finding what has ended", func(r *scaleResult) string { return middle(r.Due) })
	row("retrieve of one user", func(r *scaleResult) string { return middle(r.Retrieve) })
	row("store of one user", func(r *scaleResult) string { return middle(r.Store) })
	row("on a bus: start to first answer", func(r *scaleResult) string { return middle(r.BusStart) })
	row("on a bus: memory after that", func(r *scaleResult) string { return size(r.BusMemory) })
	row("on a bus: GetManagedObjects by busctl", func(r *scaleResult) string { return middle(r.Objects) })
	row("on a bus: ListCollections of root by busctl", func(r *scaleResult) string { return middle(r.Listed) })
	row("on a bus: memory after that", func(r *scaleResult) string { return size(r.ListedMemory) })
	row("on a bus: Ping by busctl", func(r *scaleResult) string { return middle(r.Ping) })
	fmt.Fprintf(w, "\nMany users, %d tickets each (medians)\n", ticketsEach)
	t.print(w)
	for _, r := range b.scaleResults {
		if r.Failure != nil {
			fmt.Fprintf(w, "%s, %s users: fails: %v\n", r.Peer, thousands(r.Users), r.Failure)
		}
	}
}

// middle is the median, "-" where nothing was measured.
func middle(s series) string {
	if len(s) == 0 {
		return "-"
	}
	if m := s.median(); m >= 10*time.Millisecond {
		return fmt.Sprintf("%.0f ms", m.Seconds()*1000)
	}
	return micros(s.median()) + " us"
}

// size is a number of bytes, "-" where nothing was measured.
func size(n int64) string {
	if n == 0 {
		return "-"
	}
	return bytesText(n)
}
