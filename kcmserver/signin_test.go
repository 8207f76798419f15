package kcmserver

import (
	"errors"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// wants gathers the notices that a user has to sign in.
type wants struct {
	mu   sync.Mutex
	list []ccstore.Notice
}

func watchWants(t *testing.T, s *Server) *wants {
	w := new(wants)
	t.Cleanup(s.store.Watch(func(e ccstore.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list = append(w.list, e.Notices...)
	}))
	return w
}

// take returns the notices so far. A request that is answered after the one in question
// comes after its notice.
func (w *wants) take(after *client) []ccstore.Notice {
	after.do(kcm.OpNoop)
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// look sends what a program does that looks for a ticket in the collection.
func (c *client) look() {
	c.do(kcm.OpGetCacheUUIDList)
	c.get(kcm.OpGetDefaultCache)
	c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
}

func processOf(uid uint32, pid int32) Peer {
	p := user(uid)
	p.PID = pid
	return p
}

// TestSignInWithoutCache has processes look once or twice for a cache.
func TestSignInWithoutCache(t *testing.T) {
	s := newServer(t, Options{})
	w := watchWants(t, s)
	c := connect(t, s, processOf(1000, 7))
	c.look()
	if list := w.take(c); len(list) != 0 {
		t.Errorf("one look, as of klist -l: %v", list)
	}
	connect(t, s, processOf(1000, 8)).look()
	c = connect(t, s, processOf(1000, 7))
	c.ask(kcm.FCCNoFile, kcm.OpGetPrincipal, str(nameD))
	if list := w.take(c); len(list) != 0 {
		t.Errorf("looks of two processes: %v", list)
	}
	c.look()
	want(t, "two looks", []ccstore.Notice{{Kind: ccstore.SignInWanted, PID: 7, Want: ccstore.NoCache}}, w.take(c))
	c.look()
	c.look()
	if list := w.take(c); len(list) != 0 {
		t.Errorf("told again: %v", list)
	}
}

// TestSignInExpired has a client look for tickets of services in caches without a valid
// TGT.
func TestSignInExpired(t *testing.T) {
	const realm, tgt, service = "LAB.TEST", "krbtgt/LAB.TEST@LAB.TEST", "host/b@LAB.TEST"
	s := newServer(t, Options{})
	w := watchWants(t, s)
	now := time.Now()
	ticket := func(name string, end time.Time) *ccache.Credential {
		c := testCred(name)
		c.EndTime = uint32(end.Unix())
		return c
	}
	for i, test := range []struct {
		name   string
		offset int32
		creds  []*ccache.Credential
		look   []string
		want   ccstore.WantReason
	}{
		{"expired", 0, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour))}, []string{"host/a@", service, tgt}, ccstore.TGTExpired},
		{"valid", 0, []*ccache.Credential{ticket(tgt, now.Add(time.Hour))}, []string{service, tgt}, ""},
		{"expired by the KDC's clock", 7200, []*ccache.Credential{ticket(tgt, now.Add(time.Hour))}, []string{service, tgt}, ccstore.TGTExpired},
		{"valid by the KDC's clock", -7200, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour))}, []string{service, tgt}, ""},
		{"no TGT", 0, nil, []string{service, tgt}, ccstore.NoTGT},
		{"nothing but the TGT is wanted", 0, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour))}, []string{tgt}, ""},
		{"the service has a ticket", 0, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour)), ticket(service, now.Add(time.Hour))}, []string{"host/a@LAB.TEST", service, tgt}, ""},
		{"a TGT of another realm", 0, []*ccache.Credential{ticket(tgt, now.Add(time.Hour))}, []string{service, "krbtgt/OTHER.TEST@LAB.TEST", tgt}, ""},
		{"a configuration entry", 0, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour))}, []string{"krb5_ccache_conf_data/x@X-CACHECONF:", tgt}, ""},
		{"the entry of gssproxy", 0, []*ccache.Credential{ticket(tgt, now.Add(-time.Hour))}, []string{"Encrypted/Credentials/v1@X-GSSPROXY:", tgt}, ""},
	} {
		c := connect(t, s, processOf(1000, int32(100+i)))
		args := [][]byte{str(nameD), u32(uint32(test.offset)), princ("alice@" + realm), u32(uint32(len(test.creds)))}
		for _, cred := range test.creds {
			args = append(args, inner(cred))
		}
		c.do(kcm.OpReplace, args...)
		for _, name := range test.look {
			if _, err := c.Call(kcm.OpRetrieve, append(str(nameD), server(name)...)); err != nil && !errors.As(err, new(kcm.Code)) {
				t.Fatal(err)
			}
		}
		var expect []ccstore.Notice
		if test.want != "" {
			expect = []ccstore.Notice{{Kind: ccstore.SignInWanted, PID: int32(100 + i), Server: service, Want: test.want}}
		}
		want(t, test.name, expect, w.take(c))
	}
}

// TestSignInBounds has many processes of a user want tickets, and many users.
func TestSignInBounds(t *testing.T) {
	var s seekers
	now := time.Now()
	told := 0
	for pid := range int32(1000) {
		for range 3 {
			if s.again(budget.Account{UID: 1}, pid, now) && s.tell(budget.Account{UID: 1}, pid, now) {
				told++
			}
		}
	}
	if told != maxSeekers {
		t.Errorf("%d announcements for one user in no time, want %d", told, maxSeekers)
	}
	if s.tell(budget.Account{UID: 1}, 0, now.Add(wantEvery-1)) || !s.tell(budget.Account{UID: 1}, 0, now.Add(wantEvery)) {
		t.Errorf("told again before %v, or not then", wantEvery)
	}
	for uid := range uint32(3 * maxSeekerAccounts) {
		s.again(budget.Account{UID: uid}, 1, now)
	}
	if len(s.byAccount) != maxSeekerAccounts {
		t.Errorf("%d accounts are known, want %d", len(s.byAccount), maxSeekerAccounts)
	}
	later := now.Add(2 * wantEvery)
	if s.again(budget.Account{UID: 10 * maxSeekerAccounts}, 1, later); len(s.byAccount) != 1 {
		t.Errorf("%d accounts are known after %v, want 1", len(s.byAccount), 2*wantEvery)
	}
	if s.again(budget.Account{UID: 10 * maxSeekerAccounts}, 1, later.Add(lookAgain)) {
		t.Errorf("two looks within %v are one after the other", lookAgain)
	}
}
