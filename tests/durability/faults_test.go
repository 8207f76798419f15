package durability

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// A fault is something that is the matter with the disk for a while.
type fault struct {
	begin, end func(*testing.T)

	code    kcm.Code // what requests are told that fail by it
	partial bool     // some succeed all the same
}

// The disk fills up under load, and there is room again.
func TestDiskFull(t *testing.T) {
	disk, d := newMemoryDisk(t)
	start(t, d)
	full := fault{
		begin: func(t *testing.T) { fill(t, disk) },
		end:   func(t *testing.T) { makeRoom(t, disk) },
		code:  kcm.ENOSPC,
		// What fits into the files as they are is stored.
		partial: true,
	}
	full.try(t, d, disk.Path("kcmd.db"))
}

// TestDestroyOnFullDisk destroys caches on a full disk, a large one too, on which
// nothing can be stored. When there is room again, the log is emptied and the reserve
// filled.
func TestDestroyOnFullDisk(t *testing.T) {
	t.Run("tmpfs", func(t *testing.T) { destroyOnFullDisk(t, newMemoryDisk) })
	t.Run("ext4", func(t *testing.T) { destroyOnFullDisk(t, newImageDisk) })
}

func destroyOnFullDisk(t *testing.T, newDisk func(*testing.T) (*lab.Disk, *lab.Daemon)) {
	disk, d := newDisk(t)
	start(t, d)
	c := mustDial(t, d.Socket)
	alice := storetest.Principal("alice@EXAMPLE.COM")
	creds := make([]*ccache.Credential, 1200)
	for i := range creds {
		creds[i] = storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", i))
	}
	name := func(i int) string { return fmt.Sprintf("%d:full%d", os.Getuid(), i) }
	for i, tickets := range []int{len(creds), 1, 700, 1} {
		if err := c.Replace(name(i), 0, alice, creds[:tickets]); err != nil {
			t.Fatal(err)
		}
	}
	// An idle daemon has emptied its log: less is left than a large cache takes.
	size := func(suffix string) int64 {
		st, err := os.Stat(disk.Path("kcmd.db" + suffix))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	const kept = 300 << 10
	until(t, "the log to be emptied", func() bool { return size("-wal") < kept })
	fill(t, disk)
	full := func() {
		t.Helper()
		if err := c.Replace(name(9), 0, alice, creds); !errors.Is(err, kcm.ENOSPC) {
			t.Fatalf("storing on a full disk: %v, want %v", err, kcm.ENOSPC)
		}
	}
	full()
	for i := range 4 {
		if err := c.Destroy(name(i)); err != nil {
			t.Errorf("destroying cache %d: %v", i, err)
		}
		if _, err := c.GetPrincipal(name(i)); !errors.Is(err, kcm.FCCNoFile) {
			t.Errorf("cache %d after it was destroyed: %v", i, err)
		}
	}
	full()

	makeRoom(t, disk)
	if err := c.Replace(name(9), 0, alice, creds); err != nil {
		t.Error(err)
	}
	until(t, "the log to be emptied", func() bool { return size("-wal") < kept })
	until(t, "the reserve to be filled", func() bool { return size("-reserve") > 0 })
	if err := c.Destroy(name(9)); err != nil {
		t.Error(err)
	}
	stopAndInspect(t, d, disk.Path("kcmd.db"))
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// newMemoryDisk returns a small disk, and a daemon whose store is on it.
func newMemoryDisk(t *testing.T) (*lab.Disk, *lab.Daemon) {
	t.Helper()
	needDisk(t)
	l, d := newLab(t)
	disk, err := l.NewMemoryDisk(6 << 20)
	if err != nil {
		t.Fatal(err)
	}
	moveTo(disk, d)
	return disk, d
}

func needDisk(t *testing.T) {
	t.Helper()
	needRoot(t, "mount a disk")
	if err := lab.NeedDisk(); err != nil {
		lab.SkipMissing(t, err)
	}
	if err := lab.NoDisk(); err != nil {
		t.Skip(err)
	}
}

// moveTo has the daemon keep its store on the disk.
func moveTo(disk *lab.Disk, d *lab.Daemon) {
	d.Through = disk.Through()
	d.Database = disk.Dir + "/kcmd.db"
}

// fill takes all the room that is left.
func fill(t *testing.T, disk *lab.Disk) {
	t.Helper()
	f, err := os.Create(disk.Path("ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func makeRoom(t *testing.T, disk *lab.Disk) {
	t.Helper()
	if err := os.Remove(disk.Path("ballast")); err != nil {
		t.Fatal(err)
	}
}

// Calls of the system fail under load, which they do not do later.
func TestCallsFail(t *testing.T) {
	tests := []struct {
		name  string
		calls string // as strace calls them
		code  kcm.Code
		some  bool
	}{
		{"writing, with an I/O error", "pwrite64:error=EIO", kcm.EIO, false},
		{"syncing, with an I/O error", "fsync,fdatasync:error=EIO", kcm.EIO, false},
		{"everything, with an I/O error", "pwrite64,ftruncate,fsync,fdatasync,unlink:error=EIO", kcm.EIO, false},
		{"now and then, with an I/O error", "pwrite64,ftruncate,fsync,fdatasync:error=EIO:when=3+7", kcm.EIO, true},
		{"all that a read-only disk refuses", "pwrite64,ftruncate,unlink:error=EROFS", kcm.EROFS, false},
		{"all that a full disk refuses", "pwrite64:error=ENOSPC", kcm.ENOSPC, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			needTracing(t)
			_, d := newLab(t)
			start(t, d)
			var stop func()
			f := fault{
				begin:   func(t *testing.T) { stop = inject(t, d.PID(), tt.calls) },
				end:     func(t *testing.T) { stop() },
				code:    tt.code,
				partial: tt.some,
			}
			f.try(t, d, d.Database)
		})
	}
}

// The disk's file system finds an error in itself, and does not let anybody
// write to it any more until somebody has looked after it.
func TestDiskTurnsReadOnly(t *testing.T) {
	disk, d := newImageDisk(t)
	start(t, d)
	clients := newClients(4)
	conns := make([]*kcmclient.Client, len(clients))
	for i, c := range clients {
		conns[i] = mustDial(t, d.Socket)
		mustAsk(t, c, conns[i], 30)
	}
	if err := disk.Fail(); err != nil {
		t.Fatal(err)
	}
	broken := fault{code: kcm.EROFS}
	together(clients, func(i int, c *client) { broken.suffer(t, c, conns[i]) })
	if n := count(d, "cannot write the store"); n != 1 {
		t.Errorf("the log says %d times that the disk fails", n)
	}

	// It says that it could not put everything in order at its end.
	_ = d.Stop()
	if err := errors.Join(disk.Unmount(), disk.Mount()); err != nil {
		t.Fatal(err)
	}
	start(t, d)
	if err := compareAll(clients, mustDial(t, d.Socket)); err != nil {
		t.Error(err)
	}
	stopAndInspect(t, d, disk.Path("kcmd.db"), clients...)
}

// newImageDisk returns a disk with a real file system, and a daemon whose store
// is on it.
func newImageDisk(t *testing.T) (*lab.Disk, *lab.Daemon) {
	t.Helper()
	needDisk(t)
	l, d := newLab(t)
	disk, err := l.NewImageDisk(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(disk.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	moveTo(disk, d)
	return disk, d
}

// Nobody can make a disk read-only under the daemon but the disk itself. On one
// that is, the daemon does not start, and says why.
func TestReadOnlyDisk(t *testing.T) {
	disk, d := newImageDisk(t)
	start(t, d)
	c := newClient(0)
	mustAsk(t, c, mustDial(t, d.Socket), 30)
	if err := disk.Remount("ro"); err == nil {
		t.Fatal("the disk was made read-only under the daemon")
	}
	mustAsk(t, c, mustDial(t, d.Socket), 1)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}

	if err := disk.Remount("ro"); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err == nil || !strings.Contains(err.Error(), "cannot open store "+d.Database) ||
		!strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("Start: %v", err)
	}
	if err := disk.Remount("rw"); err != nil {
		t.Fatal(err)
	}
	start(t, d)
	if err := compareAll([]*client{c}, mustDial(t, d.Socket)); err != nil {
		t.Error(err)
	}
}

// The daemon is killed while it cannot sync what it writes: what it has refused
// is there or not, the whole of it.
func TestKilledWhileCallsFail(t *testing.T) {
	for _, calls := range []string{"fsync,fdatasync:error=EIO", "pwrite64:error=EIO:when=2+2"} {
		t.Run(calls, func(t *testing.T) {
			needTracing(t)
			_, d := newLab(t)
			start(t, d)
			c := newClient(0)
			to := mustDial(t, d.Socket)
			mustAsk(t, c, to, 30)
			inject(t, d.PID(), calls)
			for c.ask(to) == nil {
			}
			if err := d.Kill(); err != nil {
				t.Fatal(err)
			}
			start(t, d)
			to = mustDial(t, d.Socket)
			if err := c.compare(to); err != nil {
				t.Error(err)
			}
			mustAsk(t, c, to, 10)
			stopAndInspect(t, d, d.Database, c)
		})
	}
}

// try has clients work before, under and after the fault. d is started, and has
// its database there.
func (f *fault) try(t *testing.T, d *lab.Daemon, database string) {
	clients := newClients(4)
	conns := make([]*kcmclient.Client, len(clients))
	for i, c := range clients {
		conns[i] = mustDial(t, d.Socket)
		mustAsk(t, c, conns[i], 30)
	}
	before := len(d.Log())

	f.begin(t)
	together(clients, func(i int, c *client) {
		f.suffer(t, c, conns[i])
	})
	said := d.Log()[before:]
	if n := strings.Count(said, "cannot write the store"); n == 0 || n > 3 || n > 1 && !f.partial {
		t.Errorf("the log says %d times that the disk fails:\n%s", n, said)
	}
	if n := strings.Count(said, "\n"); n > 10 {
		t.Errorf("the log has %d lines of that:\n%s", n, said)
	}

	f.end(t)
	together(clients, func(i int, c *client) {
		// The first one, without a restart.
		if err := c.ask(conns[i]); err != nil {
			t.Errorf("after the fault: %v", err)
		}
		if err := c.compare(conns[i]); err != nil {
			t.Error(err)
		}
	})
	if count(d, "can write the store again") == 0 {
		t.Error("the log does not say that it is over")
	}
	stopAndInspect(t, d, database, clients...)
}

// suffer requests changes until enough have failed. Meanwhile reads succeed, and a
// refused change has no effect.
func (f *fault) suffer(t *testing.T, c *client, to *kcmclient.Client) {
	c.plan.size = 6000
	for failed, n := 0, 0; failed < 20; n++ {
		err := c.ask(to)
		var code kcm.Code
		switch {
		case err == nil && (f.partial && n < 5000 || unchanged(c)):
		case err == nil:
			t.Errorf("change %d was made, failed had %d", n, failed)
			return
		case errors.As(err, &code) && code == f.code:
			failed++
		default:
			t.Errorf("while the disk fails: %v, want %v", err, f.code)
			return
		}
		if err := c.compare(to); err != nil {
			t.Error(err)
			return
		}
	}
}

// unchanged reports whether the last request has changed nothing and needs no write.
func unchanged(c *client) bool {
	last := len(c.history) - 1
	return c.history[last].Compare(c.history[last-1]) == nil
}

// together has all clients do something at the same time.
func together(clients []*client, do func(int, *client)) {
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { do(i, c) })
	}
	all.Wait()
}
