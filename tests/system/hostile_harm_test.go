package system

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The moves that make the daemon hold much or work long, with a few requests each.
// All but the last are sized to pass the ceiling, or the witness's patience, by far
// if the daemon copies, keeps or walks more than it should.
var harmMoves = []move{
	{"a purge of 20,000 expired tickets from a cache with a long principal", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		a.longest(t, c, "purge")
		a.fill(t, c, "purge", scaled(20_000), func(i int) parts {
			return parts{server: principal("old", strconv.Itoa(i)), end: began - 7200}
		})
		for i := range 9 {
			c.call(opStore, a.name("purge"), largeCredential(strconv.Itoa(i), 9<<20))
		}
	}},
	{"200 STOREs at once in a cache with a long principal", ceiling, func(t *testing.T, a *attack) {
		a.longest(t, a.dial(), "shared")
		a.crowd(t, 200, func(i int, c wire) error {
			return succeeded(c.call(opStore, a.name("shared"), credential(strconv.Itoa(i))))
		})
	}},
	{"as many tiny tickets as the quota allows", ceiling, func(t *testing.T, a *attack) {
		a.fillUp(t, "tiny", 20_000, func(i int) parts { return parts{server: principal(strconv.Itoa(i)), end: began + 3600} })
	}},
	{"as much authorization data as the quota allows", ceiling, func(t *testing.T, a *attack) {
		a.fillUp(t, "authdata", 500, func(i int) parts {
			return parts{server: principal(strconv.Itoa(i)), end: began + 3600, authdata: 1024}
		})
	}},
	{"256 caches with long principals", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		for i := range scaled(255) { // with serve's own
			a.longest(t, c, "fat"+strconv.Itoa(i))
		}
	}},
	{"caches of many tickets, renamed and moved onto others", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		tiny := func(i int) parts { return parts{server: principal(strconv.Itoa(i)), end: began + 3600} }
		a.fill(t, c, "m0", scaled(20_000), tiny)
		a.fill(t, c, "n0", scaled(20_000), tiny)
		for i := range 6 {
			mustCall(t, c, opMoveCache, a.name("m"+strconv.Itoa(i)), a.name("m"+strconv.Itoa(i+1)))
		}
		mustCall(t, c, opMoveCache, a.name("m6"), a.name("n0"))
		if n := len(mustCall(t, c, opGetCredUUIDs, a.name("n0"))) / 16; n != scaled(20_000) {
			t.Errorf("%d tickets are in the cache moved, want %d", n, scaled(20_000))
		}
	}},
	{"20,000 tickets for one server with descending ends, replaced and removed", ceiling, func(t *testing.T, a *attack) {
		c := a.dial()
		same := func(i int) parts {
			return parts{server: principal("host", "same"), end: began + 100_000 - uint32(i), second: strconv.Itoa(i)}
		}
		for range 2 {
			a.fill(t, c, "same", scaled(20_000), same)
		}
		mustCall(t, c, opRemoveCred, a.name("same"), be32(0), matchServer("same"))
		if ids := mustCall(t, c, opGetCredUUIDs, a.name("same")); len(ids) != 0 {
			t.Errorf("%d tickets are left", len(ids)/16)
		}
	}},
	{"200 connections of requests that look at each ticket", ceiling, func(t *testing.T, a *attack) {
		a.fill(t, a.dial(), "scan", scaled(30_000), func(i int) parts {
			return parts{server: principal(strconv.Itoa(i)), end: began + 3600}
		})
		const isSKey = 1 << 22 // which no ticket is
		scan := slices.Concat(be32(isSKey), be32(0), make([]byte, 16), []byte{1}, be32(0))
		end := time.Now().Add(1500 * time.Millisecond)
		a.crowd(t, 200, func(_ int, c wire) error {
			for time.Now().Before(end) {
				if code, _, err := c.call(opRetrieve, a.name("scan"), scan); code != codeNotFound || err != nil {
					return fmt.Errorf("code %d, %v", code, err)
				}
			}
			return nil
		})
	}},
}

// longest makes a cache with the longest principal that the daemon takes.
func (a *attack) longest(t *testing.T, c wire, cache string) {
	t.Helper()
	if code, _, err := c.call(opInitialize, a.name(cache), principal(strings.Repeat("p", 1<<20))); err != nil || code == 0 {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	mustCall(t, c, opInitialize, a.name(cache), principal(slices.Repeat([]string{strings.Repeat("p", 59)}, 64)...))
}

// fill replaces a cache by one with n tickets.
func (a *attack) fill(t *testing.T, c wire, cache string, n int, ticket func(int) parts) {
	t.Helper()
	if code, err := a.replace(c, cache, n, ticket); code != 0 || err != nil {
		t.Fatalf("REPLACE with %d tickets: code %d, %v", n, code, err)
	}
}

func (a *attack) replace(c wire, cache string, n int, ticket func(int) parts) (code int32, err error) {
	request := slices.Concat(a.name(cache), be32(0), principal("alice"), be32(uint32(n)))
	for i := range n {
		request = append(request, data(string(ticket(i).credential()))...)
	}
	code, _, err = c.call(opReplace, request)
	return code, err
}

// fillUp makes caches with n tickets each until there may be no more.
func (a *attack) fillUp(t *testing.T, cache string, n int, ticket func(int) parts) {
	t.Helper()
	c := a.dial()
	for i := range 10 {
		code, err := a.replace(c, cache+strconv.Itoa(i), n, ticket)
		if err != nil || code != 0 && code != codeQuota {
			t.Fatalf("REPLACE with %d tickets: code %d, %v", n, code, err)
		}
		if code == codeQuota {
			return
		}
	}
}

// crowd has as many connections at work at once.
func (a *attack) crowd(t *testing.T, n int, work func(i int, c wire) error) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		c := a.dial()
		all.Go(func() {
			if err := work(i, c); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// succeeded returns an error unless a call has succeeded.
func succeeded(code int32, _ []byte, err error) error {
	if err == nil && code != 0 {
		err = fmt.Errorf("code %d", code)
	}
	return err
}
