package kcmserver

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

// TestReplySizes lists caches of tickets of all sizes, so that replies are one
// piece, a few, and more than the kernel takes at once: over a socket, and over
// a connection that takes one piece at a time.
func TestReplySizes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := newServer(t, Options{})
	filler := connect(t, s, user(1000))
	near, far := net.Pipe()
	defer near.Close()
	go s.ServeConn(context.Background(), far, user(1000))
	piped := &client{kcmclient.New(near), t, near}

	for _, tt := range []struct{ tickets, least, most int }{
		{0, 0, 1}, {1, 0, 1}, {1, copyUpTo, copyUpTo + 1}, {1, 200_000, 200_001}, {3, 0, copyUpTo},
		{40, 0, 2 * copyAnyway}, {300, 1000, 1200}, {1000, 0, 2 * copyAnyway}, {1500, 0, 5000},
	} {
		name := fmt.Sprintf("1000:%d-%d", tt.tickets, tt.most)
		filler.do(kcm.OpInitialize, str(name), princ(alice))
		var want [][]byte
		for i := range tt.tickets {
			c := testCred(fmt.Sprintf("host/%d@LAB.TEST", i))
			c.Ticket = bytes.Repeat([]byte{byte(i)}, tt.least+rnd.IntN(tt.most-tt.least))
			want = append(want, cred(c))
			filler.do(kcm.OpStore, str(name), cred(c))
		}
		for _, c := range []*client{filler, piped} {
			got := c.creds(name)
			if len(got) != len(want) {
				t.Fatalf("%s: %d tickets, want %d", name, len(got), len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%s: ticket %d is not what was stored", name, i)
				}
			}
			if tt.tickets > 0 { // large and small in turns
				if data := c.get(kcm.OpRetrieve, str(name), server("host/0@LAB.TEST")); !bytes.Equal(data, want[0]) {
					t.Errorf("%s: RETRIEVE answers %d bytes, want %d", name, len(data), len(want[0]))
				}
				c.ask(kcm.CCNotFound, kcm.OpRetrieve, str(name), server("host/none@LAB.TEST"))
			}
		}
	}
}
