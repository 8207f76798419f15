package system

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The moves with many connections, requests and users.
var crowdMoves = []move{
	{"requests that ask for nothing, without a pause", base, func(t *testing.T, a *attack) {
		one := bytes.Repeat(frame(body(opNoop)), 100)
		end := time.Now().Add(time.Second)
		a.crowd(t, 50, func(_ int, c wire) error {
			for time.Now().Before(end) {
				if _, err := c.Write(one); err != nil {
					return err
				}
				for range 100 {
					if err := succeeded(c.reply()); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}},
	{"connections without a pause", base, func(t *testing.T, a *attack) {
		end := time.Now().Add(time.Second)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for time.Now().Before(end) {
					c, err := dialAs(a.uid, a.daemon.Socket)
					if err != nil {
						t.Error(err)
						return
					}
					c.Close()
				}
			})
		}
		all.Wait()
	}},
	{"256 half-sent requests of each of 17 users", base, func(t *testing.T, a *attack) {
		needRoot(t)
		needFiles(t, 5000)
		for i := range 17 { // more than there may be connections
			a.halfSent(t, attackerUID+100+i, a.daemon.Socket, maxOwn, half)
		}
		servedAs(t, 0, a.daemon.Socket)
	}},
	{"256 requests of 60 KiB, without their last byte, of each of 16 users", ceiling, func(t *testing.T, a *attack) {
		needRoot(t)
		needFiles(t, 5000)
		large := frame(body(opStore, make([]byte, 60<<10)))
		for i := range 16 {
			a.halfSent(t, attackerUID+100+i, a.daemon.Socket, maxOwn, large[:len(large)-1])
		}
		servedAs(t, 0, a.daemon.Socket)
	}},
	{"256 requests of 60 KiB, by connections that stay, of each of 16 users", ceiling, func(t *testing.T, a *attack) {
		needRoot(t)
		needFiles(t, 5000)
		for i := range 16 {
			a.halfSent(t, attackerUID+100+i, a.daemon.Socket, maxOwn, frame(body(opStore, make([]byte, 60<<10))))
		}
		servedAs(t, 0, a.daemon.Socket)
	}},
}

// The moves against a daemon that is not started as usual.
var preparedMoves = []prepared{
	{
		move: move{"lists of destroyed caches, kept by connections that stay", ceiling, func(t *testing.T, a *attack) {
			large := largeCredential("listed", 9<<20)
			for range 12 {
				c := a.dial()
				for i := range 3 {
					cache := a.name(strconv.Itoa(i))
					mustCall(t, c, opReplace, cache, be32(0), principal("alice"), be32(1), data(string(large)))
					mustCall(t, c, opGetCredUUIDs, cache)
					mustCall(t, c, opDestroy, cache)
				}
			}
			checkAfter(t, a.daemon.PID(), figures{files: 1 << 20}) // while they are connected
		}},
		args: []string{"--store", "memory:"}, // a database would take most of the time
	},
	{
		move: move{"256 half-sent requests, with few descriptors", base, func(t *testing.T, a *attack) {
			if !strings.Contains(a.daemon.Log(), "the limit of open files is too small") {
				t.Error("the log does not say at the start that there are few descriptors")
			}
			a.halfSent(t, a.uid, a.daemon.Socket, maxOwn, half)
			servedAs(t, os.Getuid(), a.daemon.Socket)
		}},
		// 192 are the daemon's own, which leaves 40 connections. With 8 of them a user
		// has 4, and loses the oldest when kcmd sees late that others have ended.
		through: []string{"prlimit", "--nofile=232:232"},
	},
	{
		move: move{"half-sent requests of a container's root, against root", base, func(t *testing.T, a *attack) {
			needRoot(t)
			root := mustDial(t, a.daemon.Socket)
			defer root.Close()
			mustCall(t, root, opGetDefault)
			a.halfSent(t, 0, a.daemon.SocketPath(guests), maxOwn+10, half)
			servedAs(t, 0, a.daemon.Socket)
			mustCall(t, root, opGetDefault) // which was idle for longest
		}},
		guests: true,
	},
	{
		move: move{"refusals, 20,000 of them, and those of another user", base, func(t *testing.T, a *attack) {
			needRoot(t)
			foreign := bytes.Repeat(frame(body(opInitialize, name("1"), principal("mallory"))), 100)
			c := a.dial()
			for range 200 {
				if _, err := c.Write(foreign); err != nil {
					t.Fatal(err)
				}
				for range 100 {
					answered(t, c, codePerm)
				}
			}
			const other = attackerUID + 1
			c, err := dialAs(other, a.daemon.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			wantCode(t, c, codePerm, opInitialize, name("1"), principal("mallory"))
			if !strings.Contains(a.daemon.Log(), "uid="+strconv.Itoa(other)+" ") {
				t.Error("the log does not say that another user was refused")
			}
		}},
	},
	{
		move: move{"hundreds of caches that are reaped at once", base, func(t *testing.T, a *attack) {
			old := parts{server: principal("old"), end: began - 7200}
			c := a.dial()
			for i := range scaled(600) {
				if code, err := a.replace(c, "old"+strconv.Itoa(i), 1, func(int) parts { return old }); code != 0 || err != nil {
					t.Fatalf("code %d, %v", code, err)
				}
			}
		}},
		args: []string{"--reap-after", "1ms"},
	},
	{
		move: move{"names of megabytes, with a log of each request", ceiling, func(t *testing.T, a *attack) {
			before := len(a.daemon.Log())
			c := a.dial()
			for range 10 {
				wantCode(t, c, codeBadName, opInitialize, bytes.Repeat([]byte("x"), 9<<20), []byte{0}, principal("alice"))
			}
			if n := len(a.daemon.Log()) - before; n > 1<<20 {
				t.Errorf("the log has grown by %d bytes", n)
			}
		}},
		verbose: true,
	},
}

// half is the length of a request that does not follow.
var half = []byte{0, 0, 0, 100}

// halfSent makes n connections of a user and sends these bytes over each.
func (a *attack) halfSent(t *testing.T, uid int, socket string, n int, sent []byte) {
	t.Helper()
	for range n {
		c, err := dialAs(uid, socket)
		if err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		a.conns = append(a.conns, c)
		a.mu.Unlock()
		_, _ = c.Write(sent) // at a limit it is closed before that
	}
}

// servedAs checks that a user is served over a new connection.
func servedAs(t *testing.T, uid int, socket string) {
	t.Helper()
	c, err := dialAs(uid, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := mustCall(t, c, opGetDefault); !bytes.Equal(got, name(strconv.Itoa(uid))) {
		t.Errorf("the default cache of %d is %q", uid, got)
	}
}

// needRoot skips the move unless this program can be several users.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be several users")
	}
}
