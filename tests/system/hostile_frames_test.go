package system

import (
	"bytes"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The moves with the frames that requests come in.
var frameMoves = []move{
	{"empty connections", base, func(t *testing.T, a *attack) {
		for i := range 400 {
			c := a.dial()
			if i%2 == 0 {
				c.Close()
			}
		}
	}},
	{"requests of up to 3 bytes, which kill Heimdal's kcm", base, func(t *testing.T, a *attack) {
		for n := range byte(4) {
			closed(t, a.send(append(be32(uint32(n)), []byte{2, 0, 0}[:n]...)))
		}
	}},
	{"wrong versions, which kill Heimdal's kcm", base, func(t *testing.T, a *attack) {
		for _, v := range [][]byte{{0, 0}, {1, 0}, {2, 1}, {3, 0}, {0xff, 0xff}} {
			closed(t, a.send(append(be32(4), v[0], v[1], 0, opGetDefault)))
		}
	}},
	{"a length and no more, which stalls sssd_kcm", base, func(t *testing.T, a *attack) {
		whole := frame(body(opGetPrincipal, a.name("")))
		var conns []wire
		for range 100 {
			conns = append(conns, a.send(whole[:4]))
		}
		time.Sleep(200 * time.Millisecond)
		// It is never too late to go on.
		for _, c := range conns {
			if _, err := c.Write(whole[4:]); err != nil {
				t.Fatal(err)
			}
			answered(t, c, 0)
		}
	}},
	{"half a length", base, func(t *testing.T, a *attack) {
		for range 100 {
			a.send([]byte{0, 0})
		}
		time.Sleep(200 * time.Millisecond)
	}},
	{"a length of 4 GiB", base, func(t *testing.T, a *attack) {
		for range 100 {
			closed(t, a.send([]byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0}))
		}
	}},
	// What is claimed costs nothing until it comes.
	{"a length of 10 MiB and no more", base, func(t *testing.T, a *attack) {
		for range 200 {
			a.send(append(be32(10<<20), 2, 0, 0, opStore))
		}
		time.Sleep(200 * time.Millisecond)
	}},
	{"byte by byte", base, func(t *testing.T, a *attack) {
		c := a.dial()
		mustCall(t, c, opInitialize, a.name("bytes"), principal("alice"))
		var all sync.WaitGroup
		for i := range 20 {
			whole := frame(body(opStore, a.name("bytes"), credential(strconv.Itoa(i))))
			c := a.dial()
			all.Go(func() {
				for i := range whole {
					if _, err := c.Write(whole[i : i+1]); err != nil {
						t.Error(err)
						return
					}
				}
				answered(t, c, 0)
			})
		}
		all.Wait()
		creds, err := credentials(mustCall(t, c, opGetCredList, a.name("bytes")))
		if err != nil || len(creds) != 20 {
			t.Errorf("%d credentials, want 20 (%v)", len(creds), err)
		}
	}},
	// sssd_kcm ends the connection if it does not come in two pieces at most.
	{"split anywhere", base, func(t *testing.T, a *attack) {
		c := a.dial()
		mustCall(t, c, opInitialize, a.name("split"), principal("alice"))
		n := 0
		for i := 1; ; i++ {
			whole := frame(body(opStore, a.name("split"), credential(strconv.Itoa(1000+i))))
			if i == len(whole) {
				break
			}
			n++
			for _, piece := range [][]byte{whole[:i], whole[i:]} {
				if _, err := c.Write(piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Microsecond)
			}
			answered(t, c, 0)
		}
		creds, err := credentials(mustCall(t, c, opGetCredList, a.name("split")))
		if err != nil || len(creds) != n {
			t.Errorf("%d credentials, want %d (%v)", len(creds), n, err)
		}
	}},
	{"pipelined by the thousand", base, func(t *testing.T, a *attack) {
		const pairs = 10000
		two := append(frame(body(opGetPrincipal, a.name(""))), frame(body(opGetPrincipal, a.name("none")))...)
		c := a.dial()
		go func() {
			// An error is seen as an answer that is missing.
			_, _ = c.Write(bytes.Repeat(two, pairs))
		}()
		for i := range 2 * pairs {
			code, _, err := c.reply()
			if want := []int32{0, codeNoFile}[i%2]; code != want || err != nil {
				t.Fatalf("answer %d: %d, %v; want %d", i, code, err, want)
			}
		}
	}},
	{"another protocol", base, func(t *testing.T, a *attack) {
		closed(t, a.send([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")))
		closed(t, a.send([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")))
		closed(t, a.send([]byte("l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00")))
	}},
}
