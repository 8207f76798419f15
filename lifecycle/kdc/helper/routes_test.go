package helper_test

import (
	"errors"
	"testing"
	"time"

	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// TestNetwork has the helper wait for a route in a network namespace of its own.
func TestNetwork(t *testing.T) {
	t.Parallel()
	network := lab.NewNetwork(t)
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	client := &kdc.Client{Command: append(network.Enter, program, "kdc-helper")}
	ask := func(known string) string {
		t.Helper()
		reply, err := client.Do(t.Context(), &kdc.Request{Op: kdc.Network, Routes: known})
		if err != nil {
			t.Error(err)
			return ""
		}
		return reply.Routes
	}
	ip := func(args ...string) { network.IP(t, args...) }
	none := ask("")
	if again := ask(""); again != none || none == "" {
		t.Errorf("nothing changed, and the routes are %q and %q", none, again)
	}
	ip("link", "set", "lo", "up")
	up := ask(none) // it changed before the question
	if up == none {
		t.Error("the routes are the same though a network came up")
	}
	changed := make(chan string)
	go func() {
		reply, err := client.Do(t.Context(), &kdc.Request{Op: kdc.Network, Routes: up})
		var failure *kdc.Failure
		if err != nil || errors.As(err, &failure) {
			t.Error(err)
			reply = new(kdc.Reply)
		}
		changed <- reply.Routes
	}()
	ip("address", "add", "10.1.2.3/24", "dev", "lo")
	began := time.Now()
	if got := <-changed; got == up || got == "" {
		t.Errorf("the routes are the same though one came")
	}
	if took := time.Since(began); took > kdc.Wait/2 {
		t.Errorf("known after %v", took)
	}
}
