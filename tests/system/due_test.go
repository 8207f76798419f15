package system

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/lifecycle/kdc"
)

var dueCaches = flag.Int("due", 200, "how many caches TestDueAtOnce has (10000 for a measurement)")

// A fakeHelper answers at the socket of the KDC helper: it renews every ticket.
type fakeHelper struct {
	socket string
	delay  time.Duration // of each answer

	mu       sync.Mutex
	hold     chan struct{} // if not nil, answers wait until it is closed
	requests map[string]int
	working  map[string]int // by realm, and "" for all
	most     map[string]int
	errs     []error
}

// newFakeHelper starts a helper. It delays each answer, and holds them until hold closes,
// unless that is nil.
func newFakeHelper(t *testing.T, w *world, delay time.Duration, hold chan struct{}) *fakeHelper {
	t.Helper()
	h := &fakeHelper{socket: w.lab.Path("helper.sock"), delay: delay, hold: hold,
		requests: make(map[string]int), working: make(map[string]int), most: make(map[string]int)}
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go h.serve(c)
		}
	}()
	return h
}

func (h *fakeHelper) serve(c net.Conn) {
	defer c.Close()
	r, err := kdc.ReadRequest(c)
	if err != nil || r.Op != kdc.Renew {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.errs = append(h.errs, fmt.Errorf("request %+v: %w", r, err))
		return
	}
	realm := r.TGT.Server.Realm
	h.mu.Lock()
	h.requests[r.TGT.Client.String()]++
	for _, what := range []string{"", realm} {
		h.working[what]++
		h.most[what] = max(h.most[what], h.working[what])
	}
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		<-hold
	}
	time.Sleep(h.delay)
	next := *r.TGT
	now := time.Now()
	next.StartTime, next.EndTime = uint32(now.Unix()), uint32(now.Add(10*time.Hour).Unix())
	parsed, err := ccache.ParseCredential(next.Append(nil))
	h.mu.Lock()
	h.working[""]--
	h.working[realm]--
	h.mu.Unlock()
	if err == nil {
		_ = (&kdc.Reply{Credentials: []*ccache.Credential{parsed}}).Write(c, nil)
	}
}

// count returns how many tickets were renewed, and how many requests there were.
func (h *fakeHelper) count() (tickets, requests int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.requests {
		requests += n
	}
	return len(h.requests), requests
}

// dueTGT returns a TGT whose renewal is due, and that is valid for hours.
func dueTGT(client string) *ccache.Credential {
	tgt, now := storetest.TGT(client), time.Now()
	tgt.AuthTime, tgt.StartTime = uint32(now.Add(-6*time.Hour).Unix()), uint32(now.Add(-6*time.Hour).Unix())
	tgt.EndTime, tgt.RenewTill = uint32(now.Add(4*time.Hour).Unix()), uint32(now.Add(48*time.Hour).Unix())
	tgt.Flags |= ccache.FlagRenewable
	return tgt
}

// fill fills the cache of a user with a ticket.
func fill(c *kcmclient.Client, uid int, cred *ccache.Credential) error {
	args := kcm.AppendName(nil, strconv.Itoa(uid))
	args = binary.BigEndian.AppendUint32(args, 0)
	args = cred.Client.Append(args)
	args = binary.BigEndian.AppendUint32(args, 1)
	b := cred.Append(nil)
	args = append(binary.BigEndian.AppendUint32(args, uint32(len(b))), b...)
	_, err := c.Call(kcm.OpReplace, args)
	return err
}

func (w *world) dial(t *testing.T) *kcmclient.Client {
	t.Helper()
	conn, err := net.Dial("unix", w.daemon.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return kcmclient.New(conn)
}

// pace asks for a credential until done says so, and returns the median time of an answer
// and that which one of a hundred exceeds.
func (w *world) pace(t *testing.T, done func() bool) (median, slow time.Duration) {
	t.Helper()
	c := w.dial(t)
	var times []time.Duration
	for !done() {
		began := time.Now()
		if _, err := c.Call(kcm.OpGetCredList, kcm.AppendName(nil, "1")); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(began))
		time.Sleep(500 * time.Microsecond)
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}

// TestDueAtOnce has tickets of many users due at the same time: each is renewed once, with
// no more requests at once than allowed, and a client is answered all the time.
func TestDueAtOnce(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can fill the caches of other users")
	}
	w := newStoppedWorld(t, "due")
	w.daemon.Verbose = false
	h := newFakeHelper(t, w, 100*time.Millisecond, nil) // so that as many are under way as may be
	if err := w.daemon.Start("--renew", "no", "--synchronous", "normal"); err != nil {
		t.Fatal(err)
	}
	c := w.dial(t)
	for uid := 1; uid <= *dueCaches; uid++ {
		realm := fmt.Sprintf("R%d.TEST", uid%4)
		if err := fill(c, uid, dueTGT(fmt.Sprintf("u%d@%s", uid, realm))); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(2 * time.Second)
	median, slow := w.pace(t, func() bool { return time.Now().After(end) })
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := w.daemon.Start("--renew", "yes", "--synchronous", "normal", "--kdc-helper", h.socket); err != nil {
		t.Fatal(err)
	}
	deadline := began.Add(patience + time.Duration(*dueCaches)*h.delay)
	busyMedian, busySlow := w.pace(t, func() bool {
		n, _ := h.count()
		return n == *dueCaches || time.Now().After(deadline)
	})
	took := time.Since(began)
	waitFor(t, "the last ones", func() bool {
		due, err := w.dueCount(*dueCaches)
		if err != nil {
			t.Fatal(err)
		}
		return due == 0
	})
	tickets, requests := h.count()
	t.Logf("%v of processor time for each renewal", processorTime(t, w.daemon.PID())/time.Duration(tickets))
	t.Logf("%d tickets in %v, %.0f a second; at most %v at once", tickets, took.Round(time.Millisecond), float64(tickets)/took.Seconds(), h.most)
	t.Logf("an answer takes %v, 1 of 100 more than %v; meanwhile %v and %v: %.1f and %.1f times as long", median, slow, busyMedian, busySlow,
		float64(busyMedian)/float64(median), float64(busySlow)/float64(slow))
	if tickets != *dueCaches || requests != tickets || len(h.errs) > 0 {
		t.Errorf("%d requests for %d of %d tickets, errors %v", requests, tickets, *dueCaches, h.errs)
	}
	for realm, n := range h.most {
		if most := map[bool]int{true: 4, false: 3}[realm == ""]; n > most {
			t.Errorf("%d requests at once for realm %q, allowed: %d", n, realm, most)
		}
	}
	if strings.Contains(w.daemon.Log(), "cannot") {
		t.Error("there was a failure, see the log")
	}
}

// dueCount returns how many of the caches have the first ticket.
func (w *world) dueCount(users int) (due int, err error) {
	conn, err := net.Dial("unix", w.daemon.Socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	c := kcmclient.New(conn)
	for uid := 1; uid <= users; uid++ {
		b, err := c.Call(kcm.OpGetCredList, kcm.AppendName(nil, strconv.Itoa(uid)))
		if err != nil {
			return 0, err
		}
		cred, err := ccache.ParseCredential(b[8:]) // after the number of credentials and the length
		if err != nil {
			return 0, err
		}
		if time.Until(time.Unix(int64(cred.EndTime), 0)) < 5*time.Hour {
			due++
		}
	}
	return due, nil
}

// TestKilledInRenewal kills kcmd while the KDC renews a ticket. The ticket is there, and
// the next kcmd renews it, once.
func TestKilledInRenewal(t *testing.T) {
	t.Parallel()
	w := newStoppedWorld(t, "killed")
	hold := make(chan struct{})
	h := newFakeHelper(t, w, 0, hold)
	if err := w.daemon.Start("--renew", "yes", "--kdc-helper", h.socket); err != nil {
		t.Fatal(err)
	}
	if err := fill(w.dial(t), os.Getuid(), dueTGT("alice@KCMD.TEST")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a request", func() bool { _, n := h.count(); return n == 1 })
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	close(hold)
	h.mu.Lock()
	h.hold = nil
	h.mu.Unlock()
	if err := w.daemon.Start("--renew", "yes", "--kdc-helper", h.socket); err != nil {
		t.Fatal(err)
	}
	if o := w.tell("KCM:", "klist", "-s"); o.Err != nil {
		t.Errorf("the ticket is gone: %v", o)
	}
	waitFor(t, "a renewal", func() bool { return w.renewals() == 1 })
	if _, n := h.count(); n != 2 {
		t.Errorf("%d requests, want one that is lost and one more", n)
	}
	if o := w.tell("KCM:", "klist"); o.Err != nil || strings.Count(o.Stdout, "krbtgt/") != 1 {
		t.Errorf("klist: %v", o)
	}
}
