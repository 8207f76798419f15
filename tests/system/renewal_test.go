package system

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// renewals returns how many renewals the daemon has logged.
func (w *world) renewals() int { return strings.Count(w.daemon.Log(), `msg="renewed a ticket"`) }

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, 2*patience)
		}
	}
}

// TestRenewal has tickets with lives of seconds renewed by a real KDC, while two
// programs read them all the time. The programs never see an expired ticket, or none,
// and the service tickets and the default cache stay.
func TestRenewal(t *testing.T) {
	w := newStoppedWorld(t, "renewal")
	if err := w.daemon.Start("--renew", "yes"); err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, "kinit", "-c", "KCM:"+ownName()+":other", "bob")
	w.mustRun(t, "kinit", "-c", "KCM:"+ownName()+":short", "-l", "24s", "-r", "1h", "alice")
	w.mustRun(t, "kswitch", "-c", "KCM:"+ownName()+":short")
	w.mustRun(t, "kvno", w.service)
	asked, err := w.kdc.Requests("TGS_REQ")
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for round := 0; round < 200 || w.renewals() < 2; round++ {
				if o := w.tell("KCM:", "klist", "-s"); o.Err != nil {
					t.Errorf("round %d, after %d renewals: there is no valid ticket\n%s", round, w.renewals(), w.tell("KCM:", "klist").Stdout)
					return
				}
			}
		})
	}
	readers.Wait()
	o := w.tell("KCM:", "klist")
	for _, want := range []string{"Default principal: alice@KCMD.TEST", "krbtgt/KCMD.TEST@KCMD.TEST", w.service, "KCM:" + ownName() + ":short"} {
		if !strings.Contains(o.Stdout, want) {
			t.Errorf("klist lacks %s:\n%s", want, o.Stdout)
		}
	}
	renewed := w.renewals()
	now, err := w.kdc.Requests("TGS_REQ")
	if err != nil {
		t.Fatal(err)
	}
	if n := now - asked; n < renewed || n > renewed+1 {
		t.Errorf("%d requests to the KDC for %d renewals", n, renewed)
	}
}

// TestRenewalOutage stops the KDC while a ticket is due, and kills the daemon in the
// middle of a renewal: the ticket stays, and is renewed when there is a KDC again.
func TestRenewalOutage(t *testing.T) {
	t.Parallel()
	w := newStoppedWorld(t, "outage")
	c := w.startMoved(t, "--renew", "yes")
	w.mustRun(t, "kinit", "-l", "8h", "-r", "1d", "alice")
	w.kdc.Stop()
	c.move("suspend 5h")
	waitFor(t, "a failure", func() bool { return strings.Contains(w.daemon.Log(), "reason=KdcUnreachable") })
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	c = w.startMoved(t, "--renew", "yes")
	if o := w.tell("KCM:", "klist", "-s"); o.Err != nil {
		t.Errorf("the ticket is gone: %v", o)
	}
	kdc, err := w.realm.StartKDC(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.useKDC(kdc); err != nil {
		t.Fatal(err)
	}
	c.move("suspend 5h")
	waitFor(t, "a renewal", func() bool { return w.renewals() > 0 })
	if o := w.tell("KCM:", "klist", "-s"); o.Err != nil {
		t.Errorf("the ticket is gone: %v", o)
	}
}
