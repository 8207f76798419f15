package helper_test

import (
	"testing"
	"time"

	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// TestRenew renews a ticket at the KDC, with one request.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	old := w.kinit("alice", "-l", "1h", "-r", "2d")
	before, err := w.realm.KDC.Requests("TGS_REQ")
	if err != nil {
		t.Fatal(err)
	}
	reply, err := w.do(kdc.Renew, old)
	if err != nil {
		t.Fatal(err)
	}
	now := reply.TGT()
	if now == nil || now.EndTime < old.EndTime || now.RenewTill != old.RenewTill || !now.Client.Equal(old.Client) {
		t.Errorf("renewed: %v", now)
	}
	after, err := w.realm.KDC.Requests("TGS_REQ")
	if err != nil || after != before+1 {
		t.Errorf("%d requests to the KDC, want 1 (%v)", after-before, err)
	}
}

// TestRenewRefused has the KDC refuse for each of its reasons.
func TestRenewRefused(t *testing.T) {
	w := newWorld(t)
	w.fails(kdc.NotRenewable, kdc.Renew, w.kinit("carol"))

	later := w.kinit("alice", "-s", "1h", "-r", "1d")
	w.fails(kdc.NotYetValid, kdc.Renew, later)
	w.fails(kdc.NotYetValid, kdc.Validate, later)

	ticket := w.kinit("alice", "-l", "5m", "-r", "1d")
	if lab.Faketime() != "" { // a KDC takes tickets for some minutes after their end
		late, err := w.realm.StartKDC(20 * time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w.use(late.Port)
		w.fails(kdc.Expired, kdc.Renew, ticket)
		late.Stop()
	}

	w.use(w.realm.KDC.Port)
	w.realm.KDC.Stop()
	w.fails(kdc.Unreachable, kdc.Renew, ticket)
}

// TestValidate validates a postdated ticket.
func TestValidate(t *testing.T) {
	w := newWorld(t)
	postdated := w.kinit("alice", "-s", "1s")
	time.Sleep(time.Until(time.Unix(int64(postdated.StartTime)+1, 0)))
	reply, err := w.do(kdc.Validate, postdated)
	if err != nil {
		t.Fatal(err)
	}
	if state := reply.TGT().State(time.Now(), 0); state != "valid" {
		t.Errorf("the validated ticket is %s", state)
	}
}
