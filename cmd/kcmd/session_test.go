package main

import (
	"net"
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/kcmserver"
)

func TestSocketAsked(t *testing.T) {
	dir, file := clean(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	asked := func(want bool, args ...string) {
		t.Helper()
		c, err := read(t, append([]string{"--session", "--config", file}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if c.socketAsked != want {
			t.Errorf("%v: %v, want %v", args, c.socketAsked, want)
		}
	}
	asked(false)
	asked(false, "--log-level", "debug")
	asked(true, "--socket", "/run/x")
	writeFile(t, file, "[[socket]]\npath = \"/run/x\"")
	asked(true)
	writeFile(t, file, `socket = "/run/x"`)
	asked(true)
}

func TestStepsBack(t *testing.T) {
	dir := shortDir(t)
	system := filepath.Join(dir, "system")
	session := &config{session: true}
	if stepsBack(t.Context(), session, nil, system) {
		t.Error("stepped back without a daemon of the machine")
	}
	l, err := net.Listen("unix", system)
	if err != nil {
		t.Fatal(err)
	}
	server := kcmserver.New(ccstore.Open(memory.New(), ccstore.Options{}), kcmserver.Options{})
	go server.Serve(l, ccstore.DefaultNamespace)
	defer server.Shutdown(t.Context())

	if !stepsBack(t.Context(), session, nil, system) {
		t.Error("did not step back before a daemon of the machine")
	}
	if stepsBack(t.Context(), &config{session: true, socketAsked: true}, nil, system) {
		t.Error("stepped back from a configured socket")
	}
	if stepsBack(t.Context(), &config{}, nil, system) {
		t.Error("a daemon of the machine stepped back")
	}

	passed, err := net.Listen("unix", filepath.Join(dir, "session"))
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	sockets := []*socket{{Listener: passed}}
	if !stepsBack(t.Context(), session, sockets, system) {
		t.Error("did not step back from a socket without a client")
	}
	client, err := net.Dial("unix", passed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if stepsBack(t.Context(), session, sockets, system) {
		t.Error("stepped back from a waiting client")
	}
}
