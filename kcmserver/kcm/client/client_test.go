package client_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

const (
	alice = "alice@LAB.TEST"
	work  = "1000:work"
	home  = "1000:home"
)

// connect returns a client of uid 1000 at a server over an empty store.
func connect(t *testing.T) *client.Client {
	t.Helper()
	near, far := net.Pipe()
	s := kcmserver.New(storetest.New(t, memory.New()), kcmserver.Options{})
	done := make(chan error, 1)
	go func() {
		done <- s.ServeConn(context.Background(), far, kcmserver.Peer{Namespace: ccstore.DefaultNamespace, UID: 1000, PID: 1})
	}()
	c := client.New(near)
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// fails checks that each error is that code.
func fails(t *testing.T, code kcm.Code, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if !errors.Is(err, code) {
			t.Errorf("call %d: %v, want %v", i, err, code)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func bytesOf(creds []*ccache.Credential) []string {
	list := []string{}
	for _, c := range creds {
		list = append(list, string(c.Bytes()))
	}
	return list
}

func matchServer(name string) *ccache.Match {
	p := storetest.Principal(name)
	return &ccache.Match{Server: &p}
}

// TestCaches makes, lists, moves and destroys caches.
func TestCaches(t *testing.T) {
	c := connect(t)
	text := must[string](t)
	for _, err := range []error{c.Noop(), c.Resolve(work), c.Initialize(work, storetest.Principal(alice)),
		c.SetDefaultCache(work), c.SetKDCOffset(work, -7), c.SetFlags(work, 2), c.Chown(work, 1000, 1000), c.Chmod(work, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, "name", work, text(c.GetName(work)))
	want(t, "default cache", work, text(c.GetDefaultCache()))
	want(t, "principal", storetest.Principal(alice), must[ccache.Principal](t)(c.GetPrincipal(work)))
	want(t, "KDC offset", -7, must[int32](t)(c.GetKDCOffset(work)))
	if a, b := text(c.GenNew()), text(c.GenNew()); a == b {
		t.Errorf("GEN_NEW answered %s twice", a)
	}
	ids := must[[]uuid.UUID](t)(c.GetCacheUUIDList())
	want(t, "number of caches", 1, len(ids))
	want(t, "name by UUID", work, text(c.GetCacheByUUID(ids[0])))
	if err := c.MoveCache(work, home); err != nil {
		t.Fatal(err)
	}
	want(t, "KDC offset of the moved cache", -7, must[int32](t)(c.GetKDCOffset(home)))
	if err := c.Destroy(home); err != nil {
		t.Fatal(err)
	}
	want(t, "number of caches", 0, len(must[[]uuid.UUID](t)(c.GetCacheUUIDList())))
}

// TestCredentials stores, finds, lists and removes credentials.
func TestCredentials(t *testing.T) {
	c := connect(t)
	a, b := storetest.Ticket(alice, "host/a@LAB.TEST"), storetest.Ticket(alice, "host/b@LAB.TEST")
	if err := c.Replace(work, 5, storetest.Principal(alice), []*ccache.Credential{a}); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(work, b); err != nil {
		t.Fatal(err)
	}
	list := must[[]*ccache.Credential](t)
	one := must[*ccache.Credential](t)
	want(t, "credentials", bytesOf([]*ccache.Credential{a, b}), bytesOf(list(c.GetCredList(work))))
	want(t, "KDC offset", 5, must[int32](t)(c.GetKDCOffset(work)))
	want(t, "found", b.Bytes(), one(c.Retrieve(work, matchServer("host/b@LAB.TEST"))).Bytes())
	ids := must[[]uuid.UUID](t)(c.GetCredUUIDList(work))
	want(t, "number of UUIDs", 2, len(ids))
	want(t, "by UUID", a.Bytes(), one(c.GetCredByUUID(work, ids[0])).Bytes())
	if err := c.RemoveCred(work, matchServer("host/a@LAB.TEST")); err != nil {
		t.Fatal(err)
	}
	want(t, "credentials", bytesOf([]*ccache.Credential{b}), bytesOf(list(c.GetCredList(work))))
}

// TestCodes has the server refuse: the error is its code.
func TestCodes(t *testing.T) {
	c := connect(t)
	p, cred, m := storetest.Principal(alice), storetest.TGT(alice), matchServer(alice)
	fails(t, kcm.FCCNoFile, second(c.GetName(work)), c.Destroy(work), c.Store(work, cred), second(c.Retrieve(work, m)),
		second(c.GetPrincipal(work)), second(c.GetCredUUIDList(work)), second(c.GetCredByUUID(work, uuid.New())),
		c.RemoveCred(work, m), c.SetFlags(work, 0), c.Chown(work, 1000, 1000), c.Chmod(work, 0o600), c.MoveCache(work, home),
		second(c.GetKDCOffset(work)), c.SetKDCOffset(work, 1), second(c.GetCredList(work)))
	fails(t, kcm.FCCPerm, c.Initialize("1001", p), c.Replace("1001", 0, p, nil), c.SetDefaultCache("1001"))
	fails(t, kcm.CCBadName, c.Initialize("1000:\n", p))
	fails(t, kcm.CCEnd, second(c.GetCacheByUUID(uuid.New())))
	if err := c.Initialize(work, p); err != nil {
		t.Fatal(err)
	}
	fails(t, kcm.CCNotFound, second(c.Retrieve(work, m)))
	fails(t, kcm.CCEnd, second(c.GetCredByUUID(work, uuid.New())))
	fails(t, kcm.FCCPerm, c.Chmod(work, 0o644), c.Chown(work, 1001, 1000))
}

// TestMalformedReplies has a server answer what no reply can hold.
func TestMalformedReplies(t *testing.T) {
	near, far := net.Pipe()
	c := client.New(near)
	defer c.Close()
	go func() {
		defer far.Close()
		for {
			if _, _, err := kcm.ReadRequest(far, nil); err != nil {
				return
			}
			if _, err := far.Write(kcm.AppendReply(nil, kcm.OK, []byte{1, 2, 3})); err != nil {
				return
			}
		}
	}()
	for i, err := range []error{second(c.GetDefaultCache()), second(c.GetPrincipal(work)), second(c.GetKDCOffset(work)),
		second(c.GetCacheUUIDList()), second(c.GetCredList(work)), second(c.Retrieve(work, &ccache.Match{}))} {
		if !errors.Is(err, ccache.ErrFormat) {
			t.Errorf("call %d: %v, want %v", i, err, ccache.ErrFormat)
		}
	}
}

// TestDial connects to a listening server, and to none.
func TestDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := client.Dial(t.Context(), path); err == nil {
		t.Error("connected to a path without a socket")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := kcmserver.New(storetest.New(t, memory.New()), kcmserver.Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, ccstore.DefaultNamespace) }()
	c, err := client.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Noop(); err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := c.Noop(); err == nil {
		t.Error("answered after Shutdown")
	}
	c.Close()
}
