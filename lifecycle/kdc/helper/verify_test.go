package helper_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/lifecycle/kdc/helper"
	"kcmd.org/kcmd/tests/lab"
)

func (w *world) read(path string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) verify(tgt *ccache.Credential, host kdc.HostOptions) error {
	w.t.Helper()
	_, err := w.client.Do(w.t.Context(), &kdc.Request{Op: kdc.Verify, TGT: tgt, Host: host})
	return err
}

// TestVerify verifies a ticket by the keytab of the host, and refuses one of a second
// KDC, which answers in the place of the true one: of the same realm, with the same
// client and service, and a password of its own (the attack of Zanarotti).
func TestVerify(t *testing.T) {
	w := newWorld(t)
	t.Setenv("KRB5_KTNAME", "FILE:"+w.realm.Keytab)
	tgt := w.kinit("alice")
	if err := w.verify(tgt, kdc.HostOptions{}); err != nil {
		t.Error(err)
	}
	if err := w.verify(tgt, kdc.HostOptions{Service: lab.Service + "@" + lab.RealmName}); err != nil {
		t.Error(err)
	}
	w.refused(kdc.NoKeytab, w.verify(tgt, kdc.HostOptions{Service: "host/other@" + lab.RealmName}))

	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	liar, err := l.NewRealm()
	if err != nil {
		t.Fatal(err)
	}
	w.use(liar.KDC.Port)
	lie := w.kinit("alice")
	w.refused(kdc.Unverified, w.verify(lie, kdc.HostOptions{}))
	w.refused(kdc.Unverified, w.verify(lie, kdc.HostOptions{Optional: true}))
	w.refused(kdc.Unverified, w.verify(tgt, kdc.HostOptions{})) // it does not know the krbtgt
	if err := liar.Admin("delprinc -force " + lab.Service); err != nil {
		t.Fatal(err)
	}
	w.refused(kdc.Unverified, w.verify(lie, kdc.HostOptions{}))

	none := w.lab.Path("none.keytab")
	t.Setenv("KRB5_KTNAME", none)
	w.refused(kdc.NoKeytab, w.verify(lie, kdc.HostOptions{}))
	if err := w.verify(lie, kdc.HostOptions{Optional: true}); err != nil {
		t.Errorf("a host without a keytab, and none is needed: %v", err)
	}
	if err := os.WriteFile(none, []byte("no keytab"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.refused(kdc.BadKeytab, w.verify(lie, kdc.HostOptions{Optional: true}))
}

// TestVerifyEnctypes verifies by keys of each encryption type with AES.
func TestVerifyEnctypes(t *testing.T) {
	w := newWorld(t)
	t.Setenv("KRB5_KTNAME", w.lab.Path("host.keytab"))
	tgt := w.kinit("alice")
	for _, enctype := range []string{
		"aes128-cts-hmac-sha1-96", "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha384-192",
	} {
		os.Remove(w.lab.Path("host.keytab"))
		w.admin("ktadd -k " + w.lab.Path("host.keytab") + " -e " + enctype + ":normal " + lab.Service)
		if err := w.verify(tgt, kdc.HostOptions{}); err != nil {
			t.Errorf("%s: %v", enctype, err)
		}
	}
}

// TestProve has true tickets of the host that are no proof: of another client, and with
// another session key than that in the ticket.
func TestProve(t *testing.T) {
	w := newWorld(t)
	keytab := w.read(w.realm.Keytab)
	alice, bob := w.kinit("alice", "-S", lab.Service), w.kinit("bob", "-S", lab.Service)
	if err := helper.Prove(alice, alice.Client, keytab); err != nil {
		t.Fatal(err)
	}
	lie := *alice
	lie.Ticket = bob.Ticket
	w.refused(kdc.Unverified, helper.Prove(&lie, alice.Client, keytab))
	lie.Ticket, lie.Key = alice.Ticket, bob.Key
	w.refused(kdc.Unverified, helper.Prove(&lie, alice.Client, keytab))
	w.refused(kdc.Unverified, helper.Prove(bob, alice.Client, keytab))
	lie = *alice
	for at := range lie.Ticket {
		lie.Ticket = bytes.Clone(alice.Ticket)
		lie.Ticket[at] ^= 0x10
		if err := helper.Prove(&lie, alice.Client, keytab); err == nil && at >= len(lie.Ticket)-64 {
			t.Errorf("a ticket with another byte at %d proves", at)
		}
	}
}

// TestNFold has the values of RFC 3961, section A.1.
func TestNFold(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"012345", 8, "be072631276b1955"},
		{"password", 7, "78a07b6caf85fa"},
		{"Rough Consensus, and Running Code", 8, "bb6ed30870b7f0e0"},
		{"password", 21, "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"},
		{"kerberos", 16, "6b65726265726f737b9b5b2b93132b93"},
		{"Q", 21, "518a54a2" + "15a8452a" + "518a54a2" + "15a8452a" + "518a54a2" + "15"},
	} {
		if got := hex.EncodeToString(helper.NFold([]byte(test.in), test.n)); got != test.want {
			t.Errorf("%d bytes of %q: %s, want %s", test.n, test.in, got, test.want)
		}
	}
}
