package system

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// maxOwn is how many connections one user may have (max_uid_connections).
const maxOwn = 256

// The moves with sheer mass.
var floodMoves = []move{
	{"a reader that never reads, who fills Heimdal's kcm with small answers", base, func(t *testing.T, a *attack) {
		one := frame(body(opGetCredList, a.name("")))
		for range 50 {
			c := a.dial()
			// Until nothing goes any more.
			_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			for {
				if _, err := c.Write(one); err != nil {
					break
				}
			}
		}
		time.Sleep(200 * time.Millisecond)
	}},
	// The next two have 246 times 10 MiB held for them, if they can.
	{"a reader that never reads, while asking for megabytes, who stalls sssd_kcm", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		mustCall(t, c, opInitialize, a.name("big"), principal("alice"))
		mustCall(t, c, opStore, a.name("big"), largeCredential("big", 9<<20))
		for range maxOwn - 10 {
			a.send(frame(body(opGetCredList, a.name("big"))))
		}
		time.Sleep(time.Second)
		mustCall(t, a.dial(), opDestroy, a.name("big"))
	}},
	{"requests of 10 MiB that stop before their end", ceiling, func(t *testing.T, a *attack) {
		most := append(be32(maxFrame), body(opStore, a.name(""))...)
		most = append(most, make([]byte, maxFrame-1000)...)
		var all sync.WaitGroup
		for range maxOwn - 10 {
			c := a.dial()
			all.Go(func() {
				_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
				_, _ = c.Write(most)
			})
		}
		all.Wait()
	}},
	{"thousands of connections", base, func(t *testing.T, a *attack) {
		needFiles(t, 4000)
		for range 3000 {
			// Those that are idle longest are closed, so that each new one is
			// served.
			c := a.dial()
			mustCall(t, c, opGetDefault)
		}
	}},
	{"thousands of connections, none of them idle", base, func(t *testing.T, a *attack) {
		needFiles(t, 3000)
		for range 2000 {
			c, err := a.tryDial()
			if err != nil {
				t.Fatal(err)
			}
			// From some point on it is closed before that.
			_, _ = c.Write([]byte{0, 0, 0, 100})
		}
		time.Sleep(100 * time.Millisecond)
	}},
	// Up to 64 MiB are kept. A store of 9 MiB passes through a request, a
	// transaction and the database's memory, and what it leaves is collected
	// when there is as much again. Beside a TGT, service tickets make room for it. For
	// too many caches with a TGT there is an error.
	{"all that one user may have, which sssd_kcm's memory store does not limit", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		mustCall(t, c, opInitialize, a.name("all"), principal("alice"))
		mustCall(t, c, opStore, a.name("all"), tgt())
		for i := range 10 {
			mustCall(t, c, opStore, a.name("all"), largeCredential(strconv.Itoa(i), 9<<20))
		}
		if n := len(mustCall(t, c, opGetCredUUIDs, a.name("all"))) / 16; n < 2 || n > 8 {
			t.Errorf("there are %d tickets, of 9 MiB but for the TGT: more than 64 MiB", n)
		}
		mustCall(t, c, opDestroy, a.name("all"))
		made := 0
		for code := int32(0); code != codeQuota; made++ {
			var err error
			code, _, err = c.call(opReplace, a.name("all"+strconv.Itoa(made)), be32(0), principal("alice"), be32(1), data(string(tgt())))
			if code != 0 && code != codeQuota || err != nil || made > 1000 {
				t.Fatalf("after %d caches: code %d, %v; want %d at some point", made, code, err, codeQuota)
			}
		}
		for i := range made - 1 {
			mustCall(t, c, opDestroy, a.name("all"+strconv.Itoa(i)))
		}
	}},
	{"stores without a pause", base, func(t *testing.T, a *attack) {
		mustCall(t, a.dial(), opInitialize, a.name("stores"), principal("alice"))
		one := frame(body(opReplace, a.name("stores"), be32(0), principal("alice"), be32(1), data(string(credential("one")))))
		end := time.Now().Add(time.Second)
		var all sync.WaitGroup
		for range 50 {
			c := a.dial()
			all.Go(func() {
				for time.Now().Before(end) {
					if _, err := c.Write(one); err != nil {
						t.Error(err)
						return
					}
					if code, _, err := c.reply(); code != 0 || err != nil {
						t.Errorf("code %d, %v", code, err)
						return
					}
				}
			})
		}
		all.Wait()
	}},
}
