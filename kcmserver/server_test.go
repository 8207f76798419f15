package kcmserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

const alice = "alice@LAB.TEST"

// user returns the peer that a process of uid is.
func user(uid uint32) Peer { return Peer{Namespace: ccstore.DefaultNamespace, UID: uid, PID: 1} }

// newServer returns a server over an empty store.
func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	return New(storetest.New(t, memory.New()), o)
}

// A client is one connection to a server.
type client struct {
	*kcmclient.Client
	t    *testing.T
	conn net.Conn
}

// connect returns a connection of peer, over a socket pair.
func connect(t *testing.T, s *Server, peer Peer) *client {
	t.Helper()
	return connectWith(context.Background(), t, s, peer)
}

// connectWith returns a connection whose requests have that context.
func connectWith(ctx context.Context, t *testing.T, s *Server, peer Peer) *client {
	t.Helper()
	near, far := socketPair(t)
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(ctx, far, peer) }()
	t.Cleanup(func() {
		near.Close()
		<-done
	})
	return &client{Client: kcmclient.New(near), t: t, conn: near}
}

// socketPair returns both ends of a UNIX stream connection.
func socketPair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fileConn(t, fds[0]), fileConn(t, fds[1])
}

func fileConn(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket pair")
	defer f.Close() // the connection has its own descriptor
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// ask sends a request whose reply must have that code, and returns the data.
func (c *client) ask(want kcm.Code, op kcm.Opcode, args ...[]byte) []byte {
	c.t.Helper()
	data, err := c.Call(op, bytes.Join(args, nil))
	got := kcm.OK
	if err != nil && !errors.As(err, &got) {
		c.t.Fatalf("%v: %v", op, err)
	}
	if got != want {
		c.t.Errorf("%v answered %v, want %v", op, got, want)
	}
	return data
}

// get asks for what must be there.
func (c *client) get(op kcm.Opcode, args ...[]byte) []byte {
	c.t.Helper()
	return c.ask(kcm.OK, op, args...)
}

// do asks for something to be done, which must work and answers no data.
func (c *client) do(op kcm.Opcode, args ...[]byte) {
	c.t.Helper()
	if data := c.ask(kcm.OK, op, args...); len(data) != 0 {
		c.t.Errorf("%v answered %d bytes, want none", op, len(data))
	}
}

func (c *client) defaultName() string {
	c.t.Helper()
	return nameIn(c.t, c.get(kcm.OpGetDefaultCache))
}

// names lists the caches as klist -l does.
func (c *client) names() []string {
	c.t.Helper()
	list := []string{}
	for _, id := range uuids(c.t, c.get(kcm.OpGetCacheUUIDList)) {
		list = append(list, nameIn(c.t, c.get(kcm.OpGetCacheByUUID, id[:])))
	}
	return list
}

// creds lists the credentials of a cache as klist does.
func (c *client) creds(name string) [][]byte {
	c.t.Helper()
	data := c.get(kcm.OpGetCredList, str(name))
	d := kcm.NewDecoder(data)
	n := d.Uint32("count")
	list := [][]byte{}
	for range n {
		list = append(list, d.Data("credential"))
	}
	if d.Err() != nil || len(d.Rest()) != 0 {
		c.t.Errorf("credential list: %v, %d bytes left", d.Err(), len(d.Rest()))
	}
	return list
}

func nameIn(t *testing.T, data []byte) string {
	t.Helper()
	name, rest, ok := bytes.Cut(data, []byte{0})
	if !ok || len(rest) != 0 {
		t.Errorf("%q is no name", data)
	}
	return string(name)
}

func uuids(t *testing.T, data []byte) []uuid.UUID {
	t.Helper()
	if len(data)%16 != 0 {
		t.Fatalf("a list of UUIDs has %d bytes", len(data))
	}
	var list []uuid.UUID
	for ; len(data) > 0; data = data[16:] {
		list = append(list, uuid.UUID(data[:16]))
	}
	return list
}

func str(name string) []byte                   { return kcm.AppendName(nil, name) }
func u32(n uint32) []byte                      { return binary.BigEndian.AppendUint32(nil, n) }
func princ(name string) []byte                 { return storetest.Principal(name).Append(nil) }
func cred(c *ccache.Credential) []byte         { return c.Append(nil) }
func inner(c *ccache.Credential) []byte        { return append(u32(uint32(len(cred(c)))), cred(c)...) }
func ref(p ccache.Principal) *ccache.Principal { return &p }

// mcred returns match flags and a match credential.
func mcred(m ccache.Match) []byte { return m.Append(u32(uint32(m.Flags))) }

// server matches by server principal.
func server(name string) []byte { return mcred(ccache.Match{Server: ref(storetest.Principal(name))}) }

// Crowded is called when an account has a request beside another one, and not while it is
// alone, however busy it is.
func TestCrowded(t *testing.T) {
	var called atomic.Int64
	s := newServer(t, Options{Crowded: func() { called.Add(1) }})
	other := connect(t, s, user(1001)) // without a request, whose turn would end after its answer
	member := s.turns.Join(user(1000).account())
	defer member.Leave()
	turn, err := member.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // of a processor
	if turn, err = turn.Yield(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer turn.End()
	if n := called.Load(); n != 0 {
		t.Errorf("called %d times for an account that is alone", n)
	}
	if other.do(kcm.OpNoop); called.Load() == 0 {
		t.Error("not called for another account")
	}
}
