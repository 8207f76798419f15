package system

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// sssd_kcm (2.8) and Heimdal's kcm (7.8) have known weaknesses. Here are those that a
// single request shows. TestHostile has those that stall or kill a server, the scripts
// those that real clients see.

// peerCase is a request that another server answers wrongly, or not at all.
type peerCase struct {
	name string
	play func(t *testing.T, socket string)
}

func TestPeers(t *testing.T) {
	socket := startWired(t)
	for _, c := range peerCases {
		t.Run(c.name, func(t *testing.T) {
			c.play(t, socket)
			mustServe(t, socket)
		})
	}
}

// own is one of our own cache names, as an argument.
func own(suffix string) []byte { return name(ownName() + ":" + suffix) }

// newCache makes a cache with a credential for each of the services.
func newCache(t *testing.T, socket, suffix string, services ...string) wire {
	t.Helper()
	c := mustDial(t, socket)
	t.Cleanup(func() { c.Close() })
	mustCall(t, c, opInitialize, own(suffix), principal("alice"))
	for _, s := range services {
		mustCall(t, c, opStore, own(suffix), credential(s))
	}
	return c
}

// services returns the services of the credentials in a cache, in order.
func services(t *testing.T, c wire, suffix string) []string {
	t.Helper()
	creds, err := credentials(mustCall(t, c, opGetCredList, own(suffix)))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, cred := range creds {
		_, ticket, _ := bytes.Cut([]byte(cred), []byte("ticket for "))
		list = append(list, string(ticket[:len(ticket)-4]))
	}
	return list
}

func wantServices(t *testing.T, c wire, suffix string, want ...string) {
	t.Helper()
	if got := services(t, c, suffix); !slices.Equal(got, want) {
		t.Errorf("there are credentials for %q, want %q", got, want)
	}
}

func wantCode(t *testing.T, c wire, want int32, op uint16, args ...[]byte) {
	t.Helper()
	if code, _, err := c.call(op, args...); code != want || err != nil {
		t.Errorf("operation %d: code %d, %v; want %d", op, code, err, want)
	}
}

// matchServer asks for the credentials for a service.
func matchServer(service string) []byte {
	return slices.Concat(be32(2), principal("host", service), make([]byte, 16+1+4))
}

var peerCases = []peerCase{
	{"REMOVE_CRED, which sssd_kcm does not have", func(t *testing.T, socket string) {
		c := newCache(t, socket, "remove", "a", "b", "c")
		mustCall(t, c, opRemoveCred, own("remove"), be32(0), matchServer("b"))
		wantServices(t, c, "remove", "a", "c")
		mustCall(t, c, opRemoveCred, own("remove"), be32(0), matchServer("b")) // no match is no error
	}},
	{"REMOVE_CRED of neighbours, of which Heimdal's kcm leaves every second", func(t *testing.T, socket string) {
		c := newCache(t, socket, "many", "first")
		for i := range 6 {
			// Six for one service, with keys of different types: of the same
			// type, each would replace the one before.
			cred := bytes.Replace(credential("same"), append([]byte{0, 18}, be32(32)...), append([]byte{0, byte(30 + i)}, be32(32)...), 1)
			mustCall(t, c, opStore, own("many"), cred)
		}
		mustCall(t, c, opStore, own("many"), credential("last"))
		if n := len(services(t, c, "many")); n != 8 {
			t.Errorf("%d credentials, want 8", n)
		}
		mustCall(t, c, opRemoveCred, own("many"), be32(0), matchServer("same"))
		wantServices(t, c, "many", "first", "last")
	}},
	{"the order of credentials, which sssd_kcm does not keep", func(t *testing.T, socket string) {
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf("service%d", i*7919%50))
		}
		c := newCache(t, socket, "order", want...)
		wantServices(t, c, "order", want...)
		ids := mustCall(t, c, opGetCredUUIDs, own("order"))
		for i, service := range want {
			cred := mustCall(t, c, opGetCredByUUID, own("order"), ids[16*i:16*i+16])
			if !bytes.Contains(cred, data("ticket for "+service)) {
				t.Errorf("number %d is not for %s", i, service)
			}
		}
		if got := mustCall(t, c, opRetrieve, own("order"), be32(1), be32(0), make([]byte, 16+1+4)); !bytes.Contains(got, data("ticket for "+want[0])) {
			t.Error("RETRIEVE does not find the oldest")
		}
	}},
	{"equal credentials, which Heimdal's kcm piles up", func(t *testing.T, socket string) {
		c := newCache(t, socket, "equal")
		cred := credential("equal")
		for range 6 {
			mustCall(t, c, opStore, own("equal"), cred)
		}
		wantServices(t, c, "equal", "equal")
	}},
	{"GEN_NEW, which Heimdal's kcm and sssd_kcm answer with a name in use", func(t *testing.T, socket string) {
		var mu sync.Mutex
		seen := make(map[string]bool)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c, err := dial(socket)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for range 250 {
					code, reply, err := c.call(opGenNew)
					if code != 0 || err != nil {
						t.Errorf("code %d, %v", code, err)
						return
					}
					mu.Lock()
					if seen[string(reply)] {
						t.Errorf("%q came twice", reply)
					}
					seen[string(reply)] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}},
	{"a KDC offset that is kept: Heimdal's kcm over INITIALIZE, sssd_kcm's not at all", func(t *testing.T, socket string) {
		c := newCache(t, socket, "offset")
		for _, want := range []int32{300, -300, 1<<31 - 1, -1 << 31} {
			mustCall(t, c, opSetKDCOffset, own("offset"), be32(uint32(want)))
			wantOffset(t, c, "offset", want)
		}
		mustCall(t, c, opInitialize, own("offset"), principal("alice"))
		wantOffset(t, c, "offset", 0)
	}},
	{"MOVE_CACHE, which sssd_kcm does not have", func(t *testing.T, socket string) {
		c := newCache(t, socket, "to", "old")
		newCache(t, socket, "from", "new", "newer")
		mustCall(t, c, opSetKDCOffset, own("to"), be32(300))
		mustCall(t, c, opMoveCache, own("from"), own("to"))
		wantServices(t, c, "to", "new", "newer")
		// The offset is that of the moved cache, not of the replaced one.
		wantOffset(t, c, "to", 0)
		wantCode(t, c, codeNoFile, opGetPrincipal, own("from"))
		// A move into itself changes nothing; one from a missing cache fails.
		mustCall(t, c, opMoveCache, own("to"), own("to"))
		wantServices(t, c, "to", "new", "newer")
		wantCode(t, c, codeNoFile, opMoveCache, own("from"), own("to"))
		wantServices(t, c, "to", "new", "newer")
	}},
	{"a default cache that stays, where sssd_kcm and Heimdal's kcm choose another", func(t *testing.T, socket string) {
		c := newCache(t, socket, "default")
		mustCall(t, c, opSetDefault, own("default"))
		newCache(t, socket, "other")
		if got := mustCall(t, c, opGetDefault); !bytes.Equal(got, own("default")) {
			t.Errorf("INITIALIZE made %q the default", got)
		}
		mustCall(t, c, opDestroy, own("default"))
		if got := mustCall(t, c, opGetDefault); !bytes.Equal(got, own("default")) {
			t.Errorf("DESTROY made %q the default", got)
		}
		mustCall(t, c, opSetDefault, name(ownName()))
	}},
	{"names that sssd_kcm cannot keep", func(t *testing.T, socket string) {
		c := mustDial(t, socket)
		defer c.Close()
		for _, suffix := range []string{`a\b`, "a/b", "a,b", "a=b", "a+b", "a b", "a*b", "é", "\xff\xfe", "::", "%s", "'; --"} {
			mustCall(t, c, opInitialize, own(suffix), principal("alice"))
			mustCall(t, c, opStore, own(suffix), credential(suffix))
			wantServices(t, c, suffix, suffix)
			mustCall(t, c, opDestroy, own(suffix))
			wantCode(t, c, codeNoFile, opGetPrincipal, own(suffix))
		}
	}},
	{"an empty credential, with which sssd_kcm can no longer list", func(t *testing.T, socket string) {
		c := newCache(t, socket, "empty", "before")
		wantCode(t, c, codeFormat, opStore, own("empty"))
		mustCall(t, c, opStore, own("empty"), credential("after"))
		wantServices(t, c, "empty", "before", "after")
	}},
	{"a destroyed credential, which sssd_kcm goes on giving", func(t *testing.T, socket string) {
		c := newCache(t, socket, "gone", "gone")
		ids := mustCall(t, c, opGetCredUUIDs, own("gone"))
		mustCall(t, c, opDestroy, own("gone"))
		wantCode(t, c, codeNoFile, opGetCredByUUID, own("gone"), ids)
		mustCall(t, c, opInitialize, own("gone"), principal("alice"))
		wantCode(t, c, codeEnd, opGetCredByUUID, own("gone"), ids)
	}},
	{"a cache that keeps its UUID, where sssd_kcm makes another", func(t *testing.T, socket string) {
		c := newCache(t, socket, "same")
		before := mustCall(t, c, opGetCacheUUIDs)
		mustCall(t, c, opInitialize, own("same"), principal("bob"))
		if after := mustCall(t, c, opGetCacheUUIDs); !bytes.Equal(after, before) {
			t.Errorf("the UUIDs were %x and are %x", before, after)
		}
	}},
	{"unknown caches, of which sssd_kcm says many things", func(t *testing.T, socket string) {
		c := mustDial(t, socket)
		defer c.Close()
		wantCode(t, c, codeNoFile, opStore, own("none"), credential("none"))
		wantCode(t, c, codeNoFile, opGetCredList, own("none"))
		wantCode(t, c, codeNoFile, opGetCredUUIDs, own("none"))
		wantCode(t, c, codeNoFile, opGetCredByUUID, own("none"), make([]byte, 16))
		wantCode(t, c, codeNoFile, opSetKDCOffset, own("none"), be32(1))
		wantCode(t, c, codeNoFile, opDestroy, own("none"))
		// The iteration continues; Heimdal's kcm ends it.
		wantCode(t, c, codeEnd, opGetCacheByUUID, make([]byte, 16))
	}},
	{"CHOWN and CHMOD, with which Heimdal's kcm lets caches be forced on others", func(t *testing.T, socket string) {
		c := newCache(t, socket, "mine")
		wantCode(t, c, codePerm, opChown, own("mine"), be32(witnessUID), be32(witnessUID))
		for _, mode := range []byte{0o02, 0o06} {
			wantCode(t, c, codePerm, opChmod, own("mine"), []byte{1, 0o200 | mode})
		}
		mustCall(t, c, opChmod, own("mine"), []byte{1, 0o200}) // 0600: as it is
	}},
}

func wantOffset(t *testing.T, c wire, suffix string, want int32) {
	t.Helper()
	if got := int32(binary.BigEndian.Uint32(mustCall(t, c, opGetKDCOffset, own(suffix)))); got != want {
		t.Errorf("the offset is %d, want %d", got, want)
	}
}

// A user can neither use another's caches nor learn that they exist. Heimdal's kcm
// reveals it, and a refused attempt breaks the owner's kdestroy there.
func TestPeersBetweenUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be several users")
	}
	socket := startWired(t)
	connect := func(uid int) wire {
		c, err := dialAs(uid, socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	owner, stranger := connect(witnessUID), connect(attackerUID)
	theirs := name(strconv.Itoa(witnessUID))
	none := name(strconv.Itoa(witnessUID) + ":none")
	mustCall(t, owner, opInitialize, theirs, principal("alice"))
	mustCall(t, owner, opStore, theirs, credential("theirs"))

	for _, op := range []struct {
		op   uint16
		args [][]byte
	}{
		{opGetPrincipal, nil},
		{opDestroy, nil},
		{opGetCredList, nil},
		{opGetCredUUIDs, nil},
		{opRetrieve, [][]byte{be32(1), matchServer("theirs")}},
		{opStore, [][]byte{credential("mine")}},
		{opRemoveCred, [][]byte{be32(0), matchServer("theirs")}},
		{opChown, [][]byte{be32(attackerUID), be32(attackerUID)}},
		{opMoveCache, [][]byte{name(strconv.Itoa(attackerUID))}},
	} {
		for _, cache := range [][]byte{theirs, none} {
			wantCode(t, stranger, codeNoFile, op.op, append([][]byte{cache}, op.args...)...)
		}
	}
	for range 5 {
		wantCode(t, stranger, codePerm, opInitialize, theirs, principal("mallory"))
		wantCode(t, stranger, codePerm, opInitialize, none, principal("mallory"))
		wantCode(t, stranger, codePerm, opSetDefault, theirs)
	}
	// A name that begins with the digits of one's own uid is not one's own.
	wantCode(t, stranger, codePerm, opInitialize, name(strconv.Itoa(attackerUID)+"0"), principal("mallory"))
	wantCode(t, stranger, codePerm, opInitialize, name("foo"), principal("mallory"))
	if ids := mustCall(t, stranger, opGetCacheUUIDs); len(ids) != 0 {
		t.Errorf("the stranger has caches: %x", ids)
	}
	if got := mustCall(t, stranger, opGetDefault); !bytes.Equal(got, name(strconv.Itoa(attackerUID))) {
		t.Errorf("the stranger's default is %q", got)
	}
	mustCall(t, owner, opDestroy, theirs)
	wantCode(t, owner, codeNoFile, opGetPrincipal, theirs)
}

// A user in another group is the same user: sssd_kcm's memory store refuses.
func TestPeersOtherGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user, in several groups")
	}
	lab.Need(t, "setpriv")
	w := newStartedWorld(t, "group")
	for _, words := range []string{
		"as 33 kinit alice",
		"setpriv --reuid=33 --regid=8 --clear-groups klist -s",
		"setpriv --reuid=33 --regid=9 --groups=8,33 kvno " + w.service,
	} {
		if o := w.tell("KCM:", strings.Fields(words)...); o.Err != nil {
			t.Errorf("%s: %v\n%s", words, o.Err, o.Stderr)
		}
	}
}

// A user who is not mapped into kcmd's user namespace is refused, and told so. However
// many of its connections wait, others are served.
func TestPeersUnmapped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	if err := lab.NoContainer(); err != nil {
		t.Skip(err)
	}
	w := newStoppedWorld(t, "unmapped")
	w.daemon.Through = []string{"unshare", "--user", "--map-root-user"}
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"as 33 kinit alice", "as 33 klist"} {
		const want = "Credentials cache permissions incorrect"
		if o := w.tell("KCM:", strings.Fields(words)...); o.Err == nil || !strings.Contains(o.Stderr, want) {
			t.Errorf("%s: %v, want %q in\n%s", words, o.Err, want, o.Stderr)
		}
	}
	for range 100 {
		c, err := dialAs(33, w.daemon.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for _, words := range []string{"kinit alice", "klist -s"} {
		if o := w.tell("KCM:", strings.Fields(words)...); o.Err != nil {
			t.Errorf("%s: %v\n%s", words, o.Err, o.Stderr)
		}
	}
}

// A destroyed cache is gone from the database: sssd_kcm leaves session keys there.
func TestPeersDestroyedIsGone(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	const secret = "a session key that nobody is to find"
	c := mustDial(t, d.Socket)
	defer c.Close()
	marked := bytes.ReplaceAll(credential("gone"), data("0123456789abcdef0123456789abcdef"), data(secret))
	mustCall(t, c, opInitialize, own("gone"), principal("alice"))
	mustCall(t, c, opStore, own("gone"), marked)
	if !inFiles(t, d.Database, secret) {
		t.Fatal("the key is not where it is looked for, so that this test sees nothing")
	}
	mustCall(t, c, opDestroy, own("gone"))
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, d.Database, secret) {
		t.Error("the key is still in the database")
	}
}

// inFiles looks for a string in the files of a database.
func inFiles(t *testing.T, database, what string) bool {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		b, err := os.ReadFile(database + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(what)) {
			return true
		}
	}
	return false
}
