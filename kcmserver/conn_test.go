package kcmserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/userns"
)

// patience is how long a test waits for what comes at once if all is well.
const patience = time.Minute

// closes reports whether the server closes the connection.
func closes(t *testing.T, c net.Conn) bool {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestMalformedFrames sends what is no frame: the connection ends, and nobody
// else's does.
func TestMalformedFrames(t *testing.T) {
	s := newServer(t, Options{})
	bystander := connect(t, s, user(1001))
	for _, frame := range []string{
		"\x00\x00\x00\x00",
		"\x00\x00\x00\x03\x02\x00\x00",
		"\x00\xa0\x00\x01",
		"\xff\xff\xff\xff\x02\x00\x00\x14",
		"\x00\x00\x00\x04\x01\x00\x00\x14",
		"\x00\x00\x00\x04\x02\x01\x00\x14",
	} {
		c := connect(t, s, user(1000))
		if _, err := c.conn.Write([]byte(frame)); err != nil {
			t.Fatal(err)
		}
		if !closes(t, c.conn) {
			t.Errorf("%x: the connection stays", frame)
		}
		want(t, "default name of the bystander", "1001", bystander.defaultName())
	}
}

// TestHalfARequest stops half way: others are served meanwhile, and the
// connection is cut after the timeout.
func TestHalfARequest(t *testing.T) {
	s := newServer(t, Options{ClientTimeout: 200 * time.Millisecond})
	whole := kcm.AppendRequest(nil, kcm.OpGetPrincipal, str(nameN))
	for n := 1; n < len(whole); n++ {
		c := connect(t, s, user(1000))
		if _, err := c.conn.Write(whole[:n]); err != nil {
			t.Fatal(err)
		}
		if n < 5 {
			want(t, "default name", nameD, connect(t, s, user(1000)).defaultName())
		}
		go func() {
			if !closes(t, c.conn) {
				t.Errorf("cut to %d bytes: the connection stays", n)
			}
		}()
		if n == len(whole)-1 && !closes(t, c.conn) {
			t.Errorf("cut to %d bytes: the connection stays", n)
		}
	}
}

// TestIdleStays asks again after more than the timeout: only what stops half
// way is cut.
func TestIdleStays(t *testing.T) {
	c := connect(t, newServer(t, Options{ClientTimeout: 20 * time.Millisecond}), user(1000))
	for range 3 {
		want(t, "default name", nameD, c.defaultName())
		time.Sleep(60 * time.Millisecond)
	}
}

func TestSplitAndPipelined(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	one := kcm.AppendRequest(nil, kcm.OpGetDefaultCache, nil)
	for i := range one {
		if _, err := c.conn.Write(one[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	const pipelined = 1000
	go c.conn.Write(bytes.Repeat(one, pipelined))
	for range 1 + pipelined {
		code, data, err := kcm.ReadReply(c.conn)
		if err != nil || code != kcm.OK || nameIn(t, data) != nameD {
			t.Fatalf("%v, %q, %v", code, data, err)
		}
	}
}

// TestReaderThatNeverReads asks for megabytes and reads none of them.
func TestReaderThatNeverReads(t *testing.T) {
	store := storetest.New(t, memory.New())
	s := New(store, Options{ClientTimeout: 300 * time.Millisecond})
	writer := connect(t, New(store, Options{}), user(1000)) // which has the time to send megabytes
	writer.do(kcm.OpInitialize, str(nameN), princ(alice))
	large := testCred("host/large@LAB.TEST")
	large.Ticket = make([]byte, 8<<20)
	writer.do(kcm.OpStore, str(nameN), cred(large))

	c := connect(t, s, user(1000))
	c.defaultName() // it is connected
	go c.conn.Write(bytes.Repeat(kcm.AppendRequest(nil, kcm.OpGetCredList, str(nameN)), 100))
	want(t, "principal, asked by another", princ(alice), writer.get(kcm.OpGetPrincipal, str(nameN)))
	deadline := time.Now().Add(patience)
	for s.openConns() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the connection stays")
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *Server) openConns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(slices.Collect(s.open()))
}

// TestLimitPerUser opens one connection more than a user may: the one idle
// longest is closed for it.
func TestLimitPerUser(t *testing.T) {
	s := newServer(t, connectionLimits(3, 100, 0))
	other := connect(t, s, user(1001))
	other.defaultName()
	var list []*client
	for range 3 {
		c := connect(t, s, user(1000))
		c.defaultName()
		list = append(list, c)
		time.Sleep(2 * time.Millisecond) // idle times differ
	}
	list[0].defaultName()
	fourth := connect(t, s, user(1000))
	want(t, "default name", nameD, fourth.defaultName())
	if !closes(t, list[1].conn) {
		t.Error("the connection idle longest stays")
	}
	for _, c := range []*client{list[0], list[2], fourth} {
		want(t, "default name", nameD, c.defaultName())
	}
	want(t, "default name of another user", "1001", other.defaultName())
}

// TestLimitOfAll has one user take nearly all connections: others find room.
func TestLimitOfAll(t *testing.T) {
	s := newServer(t, connectionLimits(4, 4, 0))
	for range 3 {
		connect(t, s, user(1000)).defaultName()
	}
	for uid := range uint32(3) {
		c := connect(t, s, user(2000+uid))
		want(t, "default name", fmt.Sprint(2000+uid), c.defaultName())
	}
	if n := s.openConns(); n > 4 {
		t.Errorf("%d connections, the limit is 4", n)
	}
}

// connectionLimits returns options with limits of connections.
func connectionLimits(account, whole, reserve int64) Options {
	l := budget.Default()
	l.Connections = budget.Bounds{Account: account, Whole: whole, Reserve: reserve}
	return Options{Limits: l}
}

// TestLimitHalfARequest has only connections with half a request: the oldest one
// makes room.
func TestLimitHalfARequest(t *testing.T) {
	s := newServer(t, connectionLimits(2, 100, 0))
	var list []*client
	for i := range 2 {
		c := connect(t, s, user(1000))
		c.conn.Write([]byte{0})
		s.awaits(t, func(cn *conn) bool { return cn.since.Load() < 0 }, i+1)
		list = append(list, c)
	}
	want(t, "default name", nameD, connect(t, s, user(1000)).defaultName())
	if !closes(t, list[0].conn) {
		t.Error("the connection with the oldest half of a request stays")
	}
}

// TestLimitWithoutIdle has no connection that could make room: the new one is
// refused.
func TestLimitWithoutIdle(t *testing.T) {
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	s := New(ccstore.Open(b, ccstore.Options{}), connectionLimits(1, 100, 0))
	c := connect(t, s, user(1000))
	answered := c.initializing(nameN, b)
	near, far := socketPair(t)
	defer near.Close()
	if err := s.ServeConn(context.Background(), far, user(1000)); !errors.Is(err, budget.ErrExceeded) {
		t.Errorf("ServeConn: %v", err)
	}
	close(b.goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestLimitReserve has other accounts take all but root's reserve. Root of a
// container is another account, with a limit of its own.
func TestLimitReserve(t *testing.T) {
	s := newServer(t, connectionLimits(4, 8, 2))
	root, container := user(0), Peer{Namespace: "guests", PID: 1}
	for range 8 {
		connect(t, s, container).conn.Write([]byte{0})
		connect(t, s, user(1000)).conn.Write([]byte{0})
	}
	var list []*client
	for range 2 {
		list = append(list, connect(t, s, root))
	}
	for range 20 {
		connect(t, s, container).conn.Write([]byte{0})
	}
	for _, c := range list {
		want(t, "default name of root", "0", c.defaultName())
	}
}

// awaits waits until n open connections are as given.
func (s *Server) awaits(t *testing.T, is func(*conn) bool, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := 0
		s.mu.Lock()
		for cn := range s.open() {
			if is(cn) {
				got++
			}
		}
		s.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are so, want %d", got, n)
		}
	}
}

func TestServe(t *testing.T) {
	s := newServer(t, Options{})
	l := listen(t)
	path := l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, ccstore.DefaultNamespace) }()

	raw, err := kcmclient.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := &client{Client: raw, t: t}
	want(t, "default name", fmt.Sprint(os.Geteuid()), c.defaultName())

	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := c.Call(kcm.OpGetDefaultCache, nil); err == nil {
		t.Error("answered after Shutdown")
	}
	if _, err := kcmclient.Dial(t.Context(), path); err == nil {
		t.Error("connected after Shutdown")
	}
}

// A slow backend lets a commit wait.
type slow struct {
	emptyBackend
	began, goOn chan struct{}
}

func (b slow) Commit(context.Context, *ccstore.Commit) error {
	close(b.began)
	<-b.goOn
	return nil
}

// initializing sends a request for a cache in the background, and returns the channel
// of its result. It waits until the request has reached the backend.
func (c *client) initializing(cache string, b slow) <-chan error {
	c.t.Helper()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Call(kcm.OpInitialize, append(str(cache), princ(alice)...))
		answered <- err
	}()
	select {
	case <-b.began:
	case err := <-answered:
		c.t.Fatalf("INITIALIZE was answered before it reached the backend: %v", err)
	}
	return answered
}

// TestShutdownFinishes shuts down while a request is being answered and another
// connection has sent half of one.
func TestShutdownFinishes(t *testing.T) {
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	s := New(ccstore.Open(b, ccstore.Options{}), Options{})
	half := connect(t, s, user(1000))
	half.conn.Write([]byte{0, 0})
	c := connect(t, s, user(1000))
	answered := c.initializing(nameN, b)
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	if !closes(t, half.conn) {
		t.Error("a connection with half a request stays")
	}
	close(b.goOn)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestSlowAnswer has a commit take longer than a client may: the reply has all its time.
func TestSlowAnswer(t *testing.T) {
	const timeout = 200 * time.Millisecond
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	c := connect(t, New(ccstore.Open(b, ccstore.Options{}), Options{ClientTimeout: timeout}), user(1000))
	c.defaultName() // its reply has a deadline
	answered := c.initializing(nameN, b)
	time.Sleep(2 * timeout)
	close(b.goOn)
	if err := <-answered; err != nil {
		t.Errorf("INITIALIZE: %v", err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	s := New(ccstore.Open(b, ccstore.Options{}), Options{})
	near, far := socketPair(t)
	defer near.Close()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(context.Background(), far, user(1000)) }()
	go kcmclient.New(near).Call(kcm.OpInitialize, append(str(nameN), princ(alice)...))
	<-b.began
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if !closes(t, near) {
		t.Error("the connection stays")
	}
	close(b.goOn)
	<-served
}

func TestIdentify(t *testing.T) {
	tests := []struct {
		cred unix.Ucred
		ok   bool
	}{
		{unix.Ucred{Pid: 7, Uid: 1000}, true},
		{unix.Ucred{Pid: 7, Uid: 0}, true},
		{unix.Ucred{Pid: 0, Uid: 1000}, true},
		{unix.Ucred{Pid: 0, Uid: 0}, true},
		{unix.Ucred{Pid: 0, Uid: userns.OverflowUID()}, false},
		{unix.Ucred{Pid: 7, Uid: userns.OverflowUID()}, false},
	}
	for _, tt := range tests {
		peer, err := identify(&tt.cred, "ns")
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.cred, err)
		}
		if tt.ok && (peer != Peer{Namespace: "ns", UID: tt.cred.Uid, PID: tt.cred.Pid}) {
			t.Errorf("%+v: peer %+v", tt.cred, peer)
		}
	}
}

// A panicking backend has a bug.
type panicking struct{ emptyBackend }

func (panicking) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	panic("at the disco")
}

// TestPanic has a handler panic: the client gets a code, and goes on.
func TestPanic(t *testing.T) {
	s := New(ccstore.Open(panicking{}, ccstore.Options{}), Options{})
	c := connect(t, s, user(1000))
	c.ask(kcm.CCWrite, kcm.OpGetPrincipal, str(nameN))
	c.ask(kcm.FCCInternal, 29)
}

// TestManyClients has many connections of several users store, read and
// destroy at once.
func TestManyClients(t *testing.T) {
	s := newServer(t, Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		uid := uint32(1000 + i%3)
		c := connect(t, s, user(uid))
		wg.Go(func() {
			own, shared := fmt.Sprintf("%d:%d", uid, i), fmt.Sprintf("%d:shared", uid)
			for round := range 20 {
				server := testCred(fmt.Sprintf("host/%d-%d@LAB.TEST", i, round))
				c.do(kcm.OpReplace, str(own), u32(0), princ(alice), u32(1), inner(server))
				want(t, "credentials", [][]byte{cred(server)}, c.creds(own))
				switch round % 4 {
				case 0:
					c.do(kcm.OpInitialize, str(shared), princ(alice))
				case 1:
					c.do(kcm.OpReplace, str(shared), u32(0), princ(alice), u32(1), inner(credA))
				default: // somebody may have destroyed it
					for _, op := range []kcm.Opcode{kcm.OpGetPrincipal, kcm.OpDestroy} {
						_, err := c.Call(op, str(shared))
						if err != nil && !errors.Is(err, kcm.FCCNoFile) {
							t.Errorf("%v: %v", op, err)
						}
					}
				}
				c.do(kcm.OpDestroy, str(own))
			}
		})
	}
	wg.Wait()
}

// TestReplyLength asks for a list just under the limit of a reply.
func TestReplyLength(t *testing.T) {
	c := connect(t, newServer(t, Options{}), user(1000))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	large := testCred("host/large@LAB.TEST")
	large.Ticket = nil
	overhead := kcm.ReplyHeaderLen - 8 + 4 + 4 + len(cred(large)) // code, count, length
	large.Ticket = make([]byte, kcm.MaxLen-overhead)
	// It does not fit into one request with its name: two halves would be two
	// tickets. So one byte less than the name takes.
	large.Ticket = large.Ticket[:len(large.Ticket)-len(nameN)-1]
	c.do(kcm.OpStore, str(nameN), cred(large))
	data := c.get(kcm.OpGetCredList, str(nameN))
	if n := binary.BigEndian.Uint32(data[4:]); int(n) != len(cred(large)) {
		t.Errorf("came back with %d bytes, want %d", n, len(cred(large)))
	}
}

// TestDismissedIsAnswered sends a request over the connection that is closed next
// to make room: it is answered, and only then the connection ends.
func TestDismissedIsAnswered(t *testing.T) {
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	s := New(ccstore.Open(b, ccstore.Options{}), Options{})
	c := connect(t, s, user(1000))
	c.defaultName()
	s.mu.Lock() // as register does
	store := kcm.AppendRequest(nil, kcm.OpInitialize, append(str(nameN), princ(alice)...))
	if _, err := c.conn.Write(append(store, kcm.AppendRequest(nil, kcm.OpNoop, nil)...)); err != nil {
		t.Error(err)
	}
	<-b.began
	for cn := range s.open() {
		s.dismiss(cn)
	}
	s.mu.Unlock()
	if _, err := c.conn.Write(kcm.AppendRequest(nil, kcm.OpNoop, nil)); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write to a dismissed connection: %v, want %v", err, unix.EPIPE)
	}
	close(b.goOn)
	for range 2 {
		if code, _, err := kcm.ReadReply(c.conn); code != kcm.OK || err != nil {
			t.Errorf("request sent before: %v, %v", code, err)
		}
	}
	if _, _, err := kcm.ReadReply(c.conn); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want %v", err, io.EOF)
	}
}

// TestLargeWithoutMemory sends a large request while the account holds all that
// it may: it gets a code, and the connection stays. Another one is served.
func TestLargeWithoutMemory(t *testing.T) {
	s := newServer(t, Options{ClientTimeout: 50 * time.Millisecond})
	c, other := connect(t, s, user(1000)), connect(t, s, user(1001))
	c.do(kcm.OpInitialize, str(nameN), princ(alice))
	other.do(kcm.OpInitialize, str("1001"), princ(alice))
	all := budget.Default().Memory.Account
	if err := s.memory.Take(user(1000).account(), all); err != nil {
		t.Fatal(err)
	}
	large := testCred("host/large@LAB.TEST")
	large.Ticket = make([]byte, 2*keepMemory)
	c.ask(kcm.CCNoMem, kcm.OpStore, str(nameN), cred(large))
	want(t, "credentials", [][]byte{}, c.creds(nameN))
	other.do(kcm.OpStore, str("1001"), cred(large))
	s.memory.Give(user(1000).account(), all)
	c.do(kcm.OpStore, str(nameN), cred(large))
	want(t, "credentials", [][]byte{cred(large)}, c.creds(nameN))
	s.awaits(t, func(cn *conn) bool { return cn.since.Load() > 0 }, 2)
	if n := s.memory.Total(); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

// TestDecodedIsCharged replaces a cache by more credentials than the account may
// hold memory for, in a request that it may send.
func TestDecodedIsCharged(t *testing.T) {
	s := newServer(t, Options{})
	c := connect(t, s, user(1000))
	fat := inner(&ccache.Credential{AuthData: make([]ccache.AuthData, ccache.MaxEntries)})
	n := (kcm.MaxLen - 1000) / len(fat)
	c.ask(kcm.CCNoMem, kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(uint32(n)), bytes.Repeat(fat, n))
	if n := s.memory.Held(user(1000).account()); n > budget.Default().Memory.Account {
		t.Errorf("%d bytes are held", n)
	}
}

// TestListings lists a cache, and has it rewritten: the client goes through what
// it was told. What is listed is charged until then, and until DESTROY.
func TestListings(t *testing.T) {
	s := newServer(t, Options{})
	c, other := connect(t, s, user(1000)), connect(t, s, user(1000))
	account := user(1000).account()
	a, b := testCred("host/a@LAB.TEST"), testCred("host/b@LAB.TEST")
	fill := func() {
		c.do(kcm.OpReplace, str(nameN), u32(0), princ(alice), u32(2), inner(a), inner(b))
	}
	fill()
	ids := uuids(t, c.get(kcm.OpGetCredUUIDList, str(nameN)))
	fill()
	for i, one := range []*ccache.Credential{a, b} {
		if s.memory.Held(account) == 0 {
			t.Errorf("before credential %d the listing is not charged", i)
		}
		want(t, "credential", cred(one), c.get(kcm.OpGetCredByUUID, str(nameN), ids[i][:]))
	}
	want(t, "bytes held after the last credential", int64(0), s.memory.Held(account))
	for range 3 {
		c.get(kcm.OpGetCredUUIDList, str(nameN))
		other.get(kcm.OpGetCredUUIDList, str(nameN))
	}
	if n := s.memory.Held(account); n <= 2*listingSize || n > 2*(listingSize+4<<10) {
		t.Errorf("two listings are charged %d bytes", n)
	}
	other.do(kcm.OpDestroy, str(nameN))
	want(t, "bytes held after DESTROY", int64(0), s.memory.Held(account))
	fill()
	c.get(kcm.OpGetCredUUIDList, str(nameN))
	c.conn.Close()
	s.awaits(t, func(*conn) bool { return true }, 1)
	s.listings.mu.Lock()
	defer s.listings.mu.Unlock()
	if len(s.listings.byConn) > 0 || len(s.listings.byCache) > 0 {
		t.Error("a listing outlives its connection")
	}
}

// TestListingsExpire has nobody go through a listing.
func TestListingsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := budget.NewPool("memory", budget.Default().Memory)
		l := newListings(pool)
		store := storetest.New(t, memory.New())
		owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}
		if err := store.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
			tx.Initialize(nameN, storetest.Principal(alice))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		col, err := store.Snapshot(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		cache, err := col.Cache(nameN)
		if err != nil {
			t.Fatal(err)
		}
		l.add(&conn{}, cache, cache.UUID)
		time.Sleep(2*listingLife + time.Second)
		synctest.Wait()
		if n := pool.Total(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}
