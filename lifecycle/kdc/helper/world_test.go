package helper_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// A world is a realm with a KDC, and a client of the helper.
type world struct {
	t      *testing.T
	lab    *lab.Lab
	realm  *lab.Realm
	conf   string
	client *kdc.Client

	settings []string // more of krb5.conf
}

func newWorld(t *testing.T) *world {
	t.Helper()
	lab.NeedKerberos(t)
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	w := &world{t: t, lab: l, conf: l.Path("krb5.conf"), client: &kdc.Client{Command: []string{program, "kdc-helper"}}}
	if w.realm, err = l.NewRealm(); err != nil {
		t.Fatal(err)
	}
	w.use(w.realm.KDC.Port)
	t.Setenv("KRB5_CONFIG", w.conf)
	t.Setenv("XDG_RUNTIME_DIR", w.rooms())
	if err := os.Mkdir(w.rooms(), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.checkRooms)
	return w
}

// rooms is where the helper makes its private directories.
func (w *world) rooms() string { return w.lab.Path("rooms") }

// checkRooms fails the test if a private directory is left.
func (w *world) checkRooms() {
	w.t.Helper()
	if left, _ := os.ReadDir(w.rooms()); len(left) > 0 {
		w.t.Errorf("the helper left %v", left)
	}
}

// use has clients and the helper ask the KDC at a port.
func (w *world) use(port int) {
	w.t.Helper()
	if err := w.realm.WriteConfig(w.conf, port, "-", w.settings...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) admin(commands ...string) {
	w.t.Helper()
	if err := w.realm.Admin(commands...); err != nil {
		w.t.Fatal(err)
	}
}

// kinit returns the TGT that kinit gets with some options.
func (w *world) kinit(user string, options ...string) *ccache.Credential {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "cc")
	cmd := exec.Command("kinit", append(append([]string{"-c", path}, options...), user)...)
	cmd.Stdin = strings.NewReader(lab.Password(user) + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := lab.Run(cmd); err != nil {
		w.t.Fatalf("kinit: %v\n%s", err, out.String())
	}
	return w.tgt(path)
}

// tgt returns the first ticket of a cache of type FILE, a TGT mostly.
func (w *world) tgt(path string) *ccache.Credential {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	d := ccache.NewDecoder(b)
	d.Uint16("version")
	d.Bytes("header", int(d.Uint16("header length")))
	d.Principal("principal")
	for len(d.Rest()) > 0 {
		if c := d.Credential("credential"); c != nil && !c.IsConfig() {
			return c
		}
	}
	w.t.Fatalf("%s has no ticket: %v", path, d.Err())
	return nil
}

// do has the helper do something.
func (w *world) do(op kdc.Op, tgt *ccache.Credential) (*kdc.Reply, error) {
	w.t.Helper()
	return w.client.Do(w.t.Context(), &kdc.Request{Op: op, TGT: tgt})
}

// fails has the helper fail for a reason.
func (w *world) fails(want kdc.Reason, op kdc.Op, tgt *ccache.Credential) {
	w.t.Helper()
	_, err := w.do(op, tgt)
	var failure *kdc.Failure
	if !errors.As(err, &failure) {
		w.t.Errorf("%s: %v, want %s", op, err, want)
	} else if failure.Reason != want {
		w.t.Errorf("%s: %s (%s), want %s", op, failure.Reason, failure.Text, want)
	}
}
