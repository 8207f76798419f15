package system

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// maxFrame is what may follow the length word.
const maxFrame = 10 << 20

// The moves with large tickets.
var ticketMoves = []move{
	// Copies of a ticket: in the request, in the store, in the database's
	// memory, and in the reply.
	{"tickets of 250 KiB and more, which sssd_kcm does not take", base + 6*10, func(t *testing.T, a *attack) {
		c := a.dial()
		for _, size := range []int{64 << 10, 128 << 10, 210 << 10, 250 << 10, 1 << 20} {
			big := largeCredential("big", size)
			mustCall(t, c, opInitialize, a.name("big"), principal("alice"))
			mustCall(t, c, opStore, a.name("big"), big)
			creds, err := credentials(mustCall(t, c, opGetCredList, a.name("big")))
			if err != nil || !slices.Equal(creds, []string{string(big)}) {
				t.Errorf("a ticket of %d bytes does not come back (%v)", size, err)
			}
			mustCall(t, c, opDestroy, a.name("big"))
		}
	}},
	{"tickets of 9.9 MiB", base + 12*10, func(t *testing.T, a *attack) {
		c := a.dial()
		big := largeCredential("huge", 99<<20/10)
		mustCall(t, c, opInitialize, a.name("huge"), principal("alice"))
		mustCall(t, c, opStore, a.name("huge"), big)
		creds, err := credentials(mustCall(t, c, opGetCredList, a.name("huge")))
		if err != nil || !slices.Equal(creds, []string{string(big)}) {
			t.Errorf("it does not come back (%v)", err)
		}
		ids := mustCall(t, c, opGetCredUUIDs, a.name("huge"))
		if got := mustCall(t, c, opGetCredByUUID, a.name("huge"), ids); !bytes.Equal(got, big) {
			t.Error("it does not come back by its number")
		}
		// Two are more than one answer holds; clients then ask for each.
		mustCall(t, c, opStore, a.name("huge"), largeCredential("huger", 99<<20/10))
		if code, _, err := c.call(opGetCredList, a.name("huge")); code != codeInternal || err != nil {
			t.Errorf("a list that is too long: code %d, %v; want %d", code, err, codeInternal)
		}
		if ids := mustCall(t, c, opGetCredUUIDs, a.name("huge")); len(ids) != 32 {
			t.Errorf("%d bytes of UUIDs, want 32", len(ids))
		}
		mustCall(t, c, opDestroy, a.name("huge"))
	}},
	{"a request of 10 MiB, and of one byte more", base + 4*10, func(t *testing.T, a *attack) {
		exact := body(opGetPrincipal, a.name(""))
		exact = append(exact, make([]byte, maxFrame-len(exact))...)
		c := a.send(frame(exact)) // what follows the arguments is ignored
		answered(t, c, 0)
		for range 20 {
			c := a.dial()
			// Sent as far as it is taken.
			_, _ = c.Write(append(be32(maxFrame+1), exact...))
			if n, err := c.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
				t.Errorf("one byte more: %d bytes, %v", n, err)
			}
			c.Close()
		}
	}},
}

// largeCredential is a credential with a ticket of so many bytes.
func largeCredential(service string, size int) []byte {
	cred := credential(service)
	ticket := data("ticket for " + service)
	head := cred[:len(cred)-4-len(ticket)]
	return slices.Concat(head, data(strings.Repeat("T", size)), be32(0))
}
