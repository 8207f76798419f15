package helper_test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// login gets a ticket with a password.
func (w *world) login(user, password string, o kdc.TicketOptions) (*kdc.Reply, error) {
	w.t.Helper()
	return w.client.Do(w.t.Context(), &kdc.Request{Op: kdc.Acquire, Principal: user, Password: []byte(password), Ticket: o})
}

// refused expects a failure for a reason, whose text has no secret.
func (w *world) refused(want kdc.Reason, err error, secrets ...string) {
	w.t.Helper()
	var failure *kdc.Failure
	switch {
	case !errors.As(err, &failure):
		w.t.Errorf("%v, want %s", err, want)
	case failure.Reason != want:
		w.t.Errorf("%s (%s), want %s", failure.Reason, failure.Text, want)
	case slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(failure.Text, s) }):
		w.t.Errorf("%s has a password", failure.Text)
	case strings.Contains(failure.Text, "Password for") || strings.Contains(failure.Text, "Enter"):
		w.t.Errorf("%q begins with a prompt", failure.Text)
	}
}

// TestPassword gets tickets with passwords, with the options of KIM, and is refused for
// each reason of the KDC.
func TestPassword(t *testing.T) {
	w := newWorld(t)
	yes, no := true, false
	reply, err := w.login("alice", lab.Password("alice"), kdc.TicketOptions{
		Lifetime: 1800, RenewableFor: 7200, Forwardable: &yes, Proxiable: &yes, Addressless: &yes,
	})
	if err != nil {
		t.Fatal(err)
	}
	tgt := reply.TGT()
	flags := strings.Join(tgt.Flags.Names(), " ")
	about := func(life, asked uint32) bool { return life <= asked && life > asked-60 } // the KDC's start is later than kinit's
	if life := tgt.EndTime - tgt.Start(); !about(life, 1800) || !about(tgt.RenewTill-tgt.Start(), 7200) ||
		!strings.Contains(flags, "forwardable") || !strings.Contains(flags, "proxiable") || len(tgt.Addresses) != 0 {
		t.Errorf("a life of %d, renewable for %d, %s, %d addresses", life, tgt.RenewTill-tgt.Start(), flags, len(tgt.Addresses))
	}
	reply, err = w.login("alice", lab.Password("alice"), kdc.TicketOptions{StartIn: 3600, Forwardable: &no, Addressless: &no})
	if err != nil {
		t.Fatal(err)
	}
	tgt = reply.TGT()
	if tgt.State(time.Now(), 0) != ccache.NotYetValid || tgt.Flags&ccache.FlagForwardable != 0 {
		t.Errorf("a postdated ticket: %s, %v", tgt.State(time.Now(), 0), tgt.Flags.Names())
	}
	reply, err = w.login("alice", lab.Password("alice"), kdc.TicketOptions{Service: lab.Service})
	if err != nil || reply.Got().Server.String() != lab.Service+"@"+lab.RealmName {
		t.Errorf("a ticket for a service: %v", err)
	}

	const wrong = "wrong-password"
	refuse := func(want kdc.Reason, user, password string) {
		t.Helper()
		_, err := w.login(user, password, kdc.TicketOptions{})
		w.refused(want, err, password)
	}
	refuse(kdc.PreauthFailed, "alice", wrong)
	refuse(kdc.PreauthFailed, "alice", "two\nlines")
	refuse(kdc.PreauthFailed, "alice", strings.Repeat("x", kdc.MaxPassword+1))
	refuse(kdc.PreauthFailed, "alice", strings.Repeat("x", kdc.MaxPassword))
	refuse(kdc.ClientUnknown, "nobody", wrong)
	refuse(kdc.ClientUnknown, "-R", wrong)
	refuse(kdc.ClientUnknown, "", wrong)
	refuse(kdc.Unreachable, "alice@NO.TEST", wrong)
	w.admin("addprinc -randkey -allow_svr closed")
	_, err = w.login("alice", lab.Password("alice"), kdc.TicketOptions{Service: "closed"})
	w.refused(kdc.Refused, err)
	_, err = w.login("alice", lab.Password("alice"), kdc.TicketOptions{Service: "none"})
	w.refused(kdc.ServerUnknown, err)
	w.admin("modprinc -allow_tix bob")
	refuse(kdc.ClientRevoked, "bob", lab.Password("bob"))
	w.admin("modprinc +allow_tix -expire yesterday bob")
	refuse(kdc.ClientRevoked, "bob", lab.Password("bob"))
	if lab.Faketime() != "" {
		w.settings = []string{"kdc_timesync = 0"}
		late, err := w.realm.StartKDC(20 * time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w.use(late.Port)
		refuse(kdc.ClockSkew, "alice", lab.Password("alice"))
	}
	w.use(w.realm.KDC.Port)
	w.realm.KDC.Stop()
	refuse(kdc.Unreachable, "alice", lab.Password("alice"))
}

// TestPasswordExpires reads when a password expires, and changes one that has expired.
func TestPasswordExpires(t *testing.T) {
	lab.Need(t, "kadmind", "kpasswd")
	w := newWorld(t)
	if err := w.realm.StartPasswordServer(); err != nil {
		t.Fatal(err)
	}
	w.use(w.realm.KDC.Port)
	expires := func() string {
		t.Helper()
		reply, err := w.login("alice", lab.Password("alice"), kdc.TicketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		server := ccache.ConfigServer(kdc.PasswordExpires)
		for _, c := range reply.Credentials {
			if c.Server.Equal(server) {
				return string(c.Ticket)
			}
		}
		return ""
	}
	if at := expires(); at != "" {
		t.Errorf("a password without an end expires at %s", at)
	}
	for _, in := range []time.Duration{30 * time.Minute, 5 * time.Hour, 3 * 24 * time.Hour} {
		end := time.Now().Add(in).UTC()
		w.admin("modprinc -pwexpire \"" + end.Format("2006-01-02 15:04:05 UTC") + "\" alice")
		if at := expires(); at != strconv.FormatInt(end.Unix(), 10) {
			t.Errorf("a password that expires at %d: %q", end.Unix(), at)
		}
	}
	w.admin("addpol -minlength 12 long", "modprinc -policy long alice", "modprinc -pwexpire yesterday alice")
	_, err := w.login("alice", lab.Password("alice"), kdc.TicketOptions{})
	w.refused(kdc.PasswordOld, err, lab.Password("alice"))

	change := func(user, old, next string) error {
		_, err := w.client.Do(t.Context(), &kdc.Request{Op: kdc.ChangePassword, Principal: user, Password: []byte(old), Next: []byte(next)})
		return err
	}
	w.refused(kdc.PreauthFailed, change("alice", "wrong-password", "another-password"), "another-password")
	w.refused(kdc.Rejected, change("alice", lab.Password("alice"), "short"), "short\n")
	w.refused(kdc.ClientUnknown, change("nobody", "wrong-password", "another-password"), "another-password")
	if err := change("alice", lab.Password("alice"), "another-password"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("alice", "another-password", kdc.TicketOptions{}); err != nil {
		t.Error(err)
	}
}

// TestFirstOfKeytab gets a ticket for the first principal of a keytab.
func TestFirstOfKeytab(t *testing.T) {
	w := newWorld(t)
	keytab := w.read(w.realm.Keytab)
	reply, err := w.client.Do(t.Context(), &kdc.Request{Op: kdc.Acquire, Keytab: bytes.Clone(keytab)})
	if err != nil || reply.TGT().Client.String() != lab.Service+"@"+lab.RealmName {
		t.Errorf("%v", err)
	}
	_, err = w.client.Do(t.Context(), &kdc.Request{Op: kdc.Acquire, Keytab: []byte("no keytab")})
	w.refused(kdc.BadKeytab, err)
}
