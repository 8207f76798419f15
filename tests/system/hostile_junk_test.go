package system

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// Credentials that are well-formed and mean nothing are kept as they are, and
// the clients that list them come to the end of the list. (sssd_kcm renews
// nobody's tickets any more once one user has stored such a thing.)
func TestJunkIsListed(t *testing.T) {
	w := newStartedWorld(t, "junk")
	if o := w.tell("KCM:", "kinit", "alice"); o.Err != nil {
		t.Fatalf("%v\n%s", o.Err, o.Stderr)
	}
	c := mustDial(t, w.daemon.Socket)
	defer c.Close()
	cache := name(ownName())
	before, err := credentials(mustCall(t, c, opGetCredList, cache))
	if err != nil {
		t.Fatal(err)
	}
	stored := junk() // once: what it makes begins now
	for _, cred := range stored {
		mustCall(t, c, opStore, cache, cred)
	}
	after, err := credentials(mustCall(t, c, opGetCredList, cache))
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before)+len(stored) || !slices.Equal(after[:len(before)], before) {
		t.Errorf("there were %d credentials and there are %d", len(before), len(after))
	}
	for i, cred := range stored {
		if at := len(before) + i; at < len(after) && after[at] != string(cred) {
			t.Errorf("number %d is not as it was", i)
		}
	}

	lists := []string{"klist", "klist -A -C -e -f -a -n", "klist -l"}
	if os.Getuid() == 0 && lab.MissingHeimdal() == nil && lab.NoRoom() == nil {
		lists = append(lists, "heimdal klist", "heimdal klist -l", "heimdal klist -A -f")
	}
	for _, line := range lists {
		o := w.tell("KCM:", strings.Fields(line)...)
		if o.Err != nil || !strings.Contains(o.Stdout, "alice@KCMD.TEST") {
			t.Errorf("%s: %v\n%s%s", line, o.Err, o.Stdout, o.Stderr)
		}
		if strings.Contains(line, "klist -A") && !strings.Contains(o.Stdout, "host/last") {
			t.Errorf("%s does not come to the end:\n%s", line, o.Stdout)
		}
	}
	// A ticket is found among them and another is fetched.
	if o := w.tell("KCM:", "kvno", w.service, "krbtgt/KCMD.TEST"); o.Err != nil {
		t.Errorf("kvno: %v\n%s", o.Err, o.Stderr)
	}
	if o := w.tell("KCM:", "kdestroy"); o.Err != nil {
		t.Errorf("kdestroy: %v\n%s", o.Err, o.Stderr)
	}
}

// junk returns credentials without sense.
func junk() [][]byte {
	serial := 1000
	with := func(part, instead []byte) []byte {
		cred := credential("junk")
		if !bytes.Contains(cred, part) {
			panic("there is no such part")
		}
		// Each is for another service, or it would take the place of the one
		// before.
		serial++
		cred = bytes.Replace(cred, part, instead, 1)
		return bytes.Replace(cred, data("junk"), data(strconv.Itoa(serial)), 1)
	}
	key := append([]byte{0, 18}, data("0123456789abcdef0123456789abcdef")...)
	server := principal("host", "junk")
	ticket := data("ticket for junk")
	ones := bytes.Repeat([]byte{0xff}, 300)
	return [][]byte{
		with(ticket, data("")),
		with(ticket, data(string(ones))),
		with(ticket, data("\x61\x84\xff\xff\xff\xff\xa0\x03\x02\x01\x05")), // a Ticket of 4 GiB
		with(ticket, data(strings.Repeat("\x30\x80", 5000))),               // without end, 5000 deep
		with(key, append([]byte{0, 0}, data("")...)),
		with(key, append([]byte{0xff, 0x7b}, data("short")...)),
		with(key, append([]byte{0x7f, 0xff}, data(string(ones))...)),
		with(server, principal()),
		with(server, principal("", "", "")),
		with(server, principal("host", "%s%n%n\x1b[2J\n\tkrbtgt/KCMD.TEST@KCMD.TEST")),
		with(server, principal("host", "\x00\x00\xff\xfe")),
		with(server, principal(slices.Repeat([]string{"x"}, 64)...)),
		with(server, slices.Concat(be32(0x80000000), be32(1), data(""), data("x"))),
		with(server, slices.Concat(be32(1), be32(1), data("X-CACHECONF:"), data("x"))),
		with(server, slices.Concat(be32(1), be32(3), data("X-CACHECONF:"),
			data("krb5_ccache_conf_data"), data("proxy_impersonator"), data(string(ones)))),
		with(slices.Concat(be32(0), []byte{0}, be32(0x40000000)),
			slices.Concat(be32(0xffffffff), []byte{0xff}, be32(0xffffffff))), // times and flags
		credential("last"),
	}
}
