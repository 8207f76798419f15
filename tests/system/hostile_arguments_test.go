package system

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// The moves with what requests are made of. Nothing comes of them.
var argumentMoves = []move{
	{"every opcode that there could be, for which sssd_kcm ends the connection", base, func(t *testing.T, a *attack) {
		var all []byte
		for op := range 1 << 16 {
			all = append(all, frame(body(uint16(op)))...)
		}
		c := a.dial()
		go func() { _, _ = c.Write(all) }()
		for op := range 1 << 16 {
			code, _, err := c.reply()
			if err != nil {
				t.Fatalf("opcode %d: %v", op, err)
			}
			if known := op <= 28 || op == 13001 || op == 13002; !known && code != codeInternal {
				t.Errorf("opcode %d: code %d, want %d", op, code, codeInternal)
			}
		}
	}},
	{"operations that kill Heimdal's kcm", base, func(t *testing.T, a *attack) {
		c := a.dial()
		key := append([]byte{0, 18}, data("0123456789abcdef0123456789abcdef")...)
		for _, cache := range []string{"", "none"} {
			// GET_INITIAL_TICKET, for a cache that is there and one that is not.
			if code, _, err := c.call(opGetInitialTicket, a.name(cache), []byte{1}, principal("alice"), key); code != codeInternal || err != nil {
				t.Errorf("GET_INITIAL_TICKET: code %d, %v; want %d", code, err, codeInternal)
			}
		}
		// RETRIEVE without a server, with and without the bit for the cache alone.
		for _, flags := range []uint32{0, 1} {
			match := slices.Concat(be32(1), principal("bob"), make([]byte, 16+1+4))
			if code, _, err := c.call(opRetrieve, a.name(""), be32(flags), match); code != codeNotFound || err != nil {
				t.Errorf("RETRIEVE: code %d, %v; want %d", code, err, codeNotFound)
			}
		}
	}},
	{"counts of 2^31 and more", base, func(t *testing.T, a *attack) {
		c := a.dial()
		cred := credential("counted")
		for _, n := range []uint32{1 << 31, 1<<31 - 1, 1<<32 - 1, 1 << 30, 1 << 24} {
			for _, request := range [][]byte{
				body(opInitialize, a.name(""), be32(1), be32(n), data("KCMD.TEST"), data("alice")),
				body(opInitialize, a.name(""), be32(1), be32(1), be32(n), []byte("KCMD.TEST")),
				body(opStore, a.name(""), withAddresses(cred, n)),
				body(opStore, a.name(""), withAuthdata(cred, n)),
				body(opStore, a.name(""), withTicketLength(cred, n)),
				body(opReplace, a.name(""), be32(0), principal("alice"), be32(n)),
				body(opReplace, a.name(""), be32(0), principal("alice"), be32(1), be32(n), cred),
				body(opRetrieve, a.name(""), be32(1), be32(2), be32(1), be32(n)),
				body(opRemoveCred, a.name(""), be32(0), be32(2), be32(1), be32(1), be32(n)),
			} {
				if _, err := c.Write(frame(request)); err != nil {
					t.Fatal(err)
				}
				answered(t, c, codeFormat)
			}
		}
	}},
	{"names without end", base + 4*10, func(t *testing.T, a *attack) {
		c := a.dial()
		for _, n := range []int{1, 255, 4 << 10, 1 << 20, 9 << 20} {
			for _, op := range []uint16{opGetPrincipal, opInitialize, opSetDefault, opMoveCache} {
				if code, _, err := c.call(op, bytes.Repeat([]byte{'x'}, n)); code != codeFormat || err != nil {
					t.Errorf("operation %d with %d bytes: code %d, %v; want %d", op, n, code, err, codeFormat)
				}
			}
		}
		own := a.cache("")
		for _, long := range []string{
			own + ":" + strings.Repeat("x", 255-len(own)), // one too many
			own + ":" + strings.Repeat("x", 1<<20),
			own + ":\n", own + ":\x1b[2J", own + ":\x7f",
		} {
			if code, _, err := c.call(opInitialize, name(long), principal("alice")); code != codeBadName || err != nil {
				t.Errorf("a name of %d bytes: code %d, %v; want %d", len(long), code, err, codeBadName)
			}
		}
	}},
	{"truncated principals and credentials", base, func(t *testing.T, a *attack) {
		c := a.dial()
		match := slices.Concat(be32(3), principal("alice"), principal("host", "kept"), make([]byte, 16+1+4))
		for _, whole := range [][]byte{
			body(opInitialize, a.name(""), principal("alice")),
			body(opStore, a.name(""), credential("cut")),
			body(opRetrieve, a.name(""), be32(1), match),
			body(opRemoveCred, a.name(""), be32(0), match),
			body(opReplace, a.name(""), be32(0), principal("alice"), be32(1), data(string(credential("cut")))),
			body(opSetKDCOffset, a.name(""), be32(5)),
			body(opMoveCache, a.name(""), a.name("moved")),
		} {
			for n := 4; n < len(whole); n++ {
				if _, err := c.Write(frame(whole[:n])); err != nil {
					t.Fatal(err)
				}
				if code, _, err := c.reply(); code != codeFormat || err != nil {
					t.Fatalf("%d of %d bytes of operation %d: code %d, %v; want %d",
						n, len(whole), whole[3], code, err, codeFormat)
				}
			}
		}
	}},
}

// The parts of a credential behind the flags, by their distance from its end.

func withAddresses(cred []byte, n uint32) []byte { return patch(cred, "addresses", n) }

func withAuthdata(cred []byte, n uint32) []byte { return patch(cred, "authdata", n) }

func withTicketLength(cred []byte, n uint32) []byte { return patch(cred, "ticket", n) }

// patch replaces one of the last counts of a credential made by credential.
func patch(cred []byte, what string, n uint32) []byte {
	ticket := bytes.LastIndex(cred, []byte("ticket for "))
	at := map[string]int{"ticket": ticket - 4, "authdata": ticket - 8, "addresses": ticket - 12}[what]
	out := slices.Clone(cred)
	copy(out[at:], be32(n))
	return out
}
