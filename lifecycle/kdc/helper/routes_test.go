package helper_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// TestNetwork has the helper wait for a route in a network namespace of its own.
func TestNetwork(t *testing.T) {
	t.Parallel()
	lab.Need(t, "unshare", "nsenter", "ip")
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("unshare", "--net", "--", "cat")
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = holder.Wait()
	})
	enter := []string{"nsenter", "--net=/proc/" + strconv.Itoa(holder.Process.Pid) + "/ns/net", "--"}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		ns, err := os.Readlink("/proc/" + strconv.Itoa(holder.Process.Pid) + "/ns/net")
		if err == nil && ns != own {
			break
		}
		if time.Now().After(end) {
			t.Skip("cannot make a network namespace here")
		}
	}
	client := &kdc.Client{Command: append(enter, program, "kdc-helper")}
	ask := func(known string) string {
		t.Helper()
		reply, err := client.Do(t.Context(), &kdc.Request{Op: kdc.Network, Routes: known})
		if err != nil {
			t.Error(err)
			return ""
		}
		return reply.Routes
	}
	ip := func(args ...string) {
		t.Helper()
		args = append(append(enter[1:len(enter):len(enter)], "ip"), args...)
		if out, err := exec.Command(enter[0], args...).CombinedOutput(); err != nil {
			t.Fatalf("ip: %v %s", err, out)
		}
	}
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
