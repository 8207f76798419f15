package helper_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"kcmd.org/kcmd/lifecycle/kdc"
)

// TestAcquire gets a ticket with a keytab, and is refused for each reason of the KDC.
func TestAcquire(t *testing.T) {
	w := newWorld(t)
	keytab := w.lab.Path("batch.keytab")
	w.admin("addprinc -randkey batch", "ktadd -k "+keytab+" batch", "addprinc -randkey other")
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	acquire := func(principal string, keytab []byte) (*kdc.Reply, error) {
		return w.client.Do(t.Context(), &kdc.Request{Op: kdc.Acquire, Principal: principal, Keytab: bytes.Clone(keytab)})
	}
	key := read(keytab)
	reply, err := acquire("batch", key)
	if err != nil {
		t.Fatal(err)
	}
	if tgt := reply.TGT(); tgt == nil || tgt.Client.String() != "batch@KCMD.TEST" {
		t.Errorf("got %v", tgt)
	}
	if len(reply.Credentials) < 2 || !reply.Credentials[1].IsConfig() {
		t.Errorf("got %d credentials, without configuration entries", len(reply.Credentials))
	}
	refused := func(want kdc.Reason, principal string, keytab []byte) {
		t.Helper()
		_, err := acquire(principal, keytab)
		var failure *kdc.Failure
		if !errors.As(err, &failure) || failure.Reason != want {
			t.Errorf("%s: %v, want %s", principal, err, want)
		}
	}
	refused(kdc.PreauthFailed, "other", key)
	refused(kdc.PreauthFailed, "batch", []byte("no keytab"))
	refused(kdc.PreauthFailed, "-R", key)
	w.admin("modprinc -allow_tix batch")
	refused(kdc.ClientRevoked, "batch", key)
	w.admin("modprinc +allow_tix -expire yesterday batch")
	refused(kdc.ClientRevoked, "batch", key)
	w.admin("modprinc -expire never -pwexpire yesterday batch")
	refused(kdc.PasswordOld, "batch", key)
	w.admin("modprinc -pwexpire never +requires_preauth batch", "cpw -randkey batch")
	refused(kdc.PreauthFailed, "batch", key)
	w.admin("delprinc -force batch")
	refused(kdc.ClientUnknown, "batch", key)
	w.realm.KDC.Stop()
	refused(kdc.Unreachable, "batch", key)
}
