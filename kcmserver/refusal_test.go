package kcmserver

import (
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

// refusing returns the path of a server that refuses every new connection, since the
// only one that is allowed is at work until end.
func refusing(t *testing.T) (s *Server, path string, end func()) {
	t.Helper()
	b := slow{began: make(chan struct{}), goOn: make(chan struct{})}
	s = New(ccstore.Open(b, ccstore.Options{}), connectionLimits(1, 100, 0))
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, ccstore.DefaultNamespace) }()
	answered := dial(t, l.Addr().String()).initializing(strconv.Itoa(os.Getuid()), b)
	return s, l.Addr().String(), func() {
		close(b.goOn)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// dial connects to a server that serves a listener.
func dial(t *testing.T, path string) *client {
	t.Helper()
	c, err := kcmclient.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{Client: c, t: t}
}

// TestRefusedIsTold has a refused client ask: it gets a code, and the end of the
// connection.
func TestRefusedIsTold(t *testing.T) {
	s, path, end := refusing(t)
	defer end()
	for _, arg := range [][]byte{nil, str(nameN), make([]byte, 1<<20)} {
		for range 2 * int(budget.Default().Refusals.Account) {
			c := dial(t, path)
			c.ask(kcm.CCNoMem, kcm.OpGetPrincipal, arg)
			if _, err := c.Call(kcm.OpGetDefaultCache, nil); err == nil {
				t.Error("the connection stays")
			}
			c.Close()
			waitFor(t, func() bool { return s.refusing.Total() == 0 })
		}
	}
}

// TestRefusedAreBounded has refused clients say nothing: few of them wait, and not for
// long.
func TestRefusedAreBounded(t *testing.T) {
	s, path, end := refusing(t)
	defer end()
	most := budget.Default().Refusals.Account
	for range 10 * most {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		defer closes(t, c)
		if n := s.refusing.Total(); n > most {
			t.Errorf("%d refused connections wait, want at most %d", n, most)
		}
	}
}

// TestRefusedNonsense has a refused client send what is no request.
func TestRefusedNonsense(t *testing.T) {
	_, path, end := refusing(t)
	defer end()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("\xff\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); len(b) != 0 { // the end may be a reset
		t.Errorf("answered %x", b)
	}
}

// TestShutdownRefused shuts down while a refused client has said nothing.
func TestShutdownRefused(t *testing.T) {
	s, path, end := refusing(t)
	waitFor(t, func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return s.refusing.Total() > 0
	})
	end()
	if n := s.refusing.Total(); n != 0 {
		t.Errorf("%d refused connections stay", n)
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(os.ErrDeadlineExceeded)
		}
	}
}
