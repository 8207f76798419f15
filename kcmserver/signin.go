package kcmserver

import (
	"errors"
	"sync"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// A program that makes a GSSAPI context looks for a ticket in the whole collection, and
// in a cache for one of the service and then for the TGT. What it finds tells that its
// user has to sign in. klist reads the caches as well, but looks for no ticket.

// A search is what a connection looked for in vain.
type search struct {
	none   bool   // it was told that there is no cache, and has sent nothing since
	server string // of the last ticket of a service that its cache did not have
}

// A signIn says that the user of a process has to sign in.
type signIn struct {
	reason ccstore.WantReason
	server string
}

// maxWantedServer bounds the name of a service that is kept for a search, in bytes.
const maxWantedServer = 512

// retrieved notes the result of a search for a ticket in a cache.
func (c *call) retrieved(cache found, cred *ccstore.Credential, err error) {
	server := c.args.match.Server
	if server == nil || len(server.Components) == 0 || err != nil && !errors.Is(err, ccstore.ErrNoCredential) || cache.owner != c.own() {
		return
	}
	looked := ccache.Credential{Client: cache.Principal, Server: *server}
	switch s := &c.conn.search; {
	case looked.IsConfig() || !looked.IsTGT() && server.Components[0] == "krbtgt":
	case !looked.IsTGT():
		if s.server = ""; err != nil {
			s.server = server.String()
			s.server = s.server[:min(len(s.server), maxWantedServer)]
		}
	case s.server == "": // nothing but the TGT is wanted, as by kinit -R
	case err != nil:
		c.want = signIn{ccstore.NoTGT, c.conn.search.server}
	case cred.IsExpired(cache.KDCTime(c.start)):
		c.want = signIn{ccstore.TGTExpired, c.conn.search.server}
	}
}

// searched notes the result of a request for the search of the collection.
func (c *call) searched(op kcm.Opcode, result kcm.Code) {
	s := &c.conn.search
	switch {
	case op == kcm.OpGetCacheUUIDList:
		s.none = result == kcm.OK && c.puts == 0
	case op == kcm.OpGetDefaultCache:
	case op == kcm.OpGetPrincipal && s.none && result == kcm.FCCNoFile:
		s.none = false
		if c.conn.server.seekers.again(c.conn.account, c.conn.peer.PID, c.start) {
			c.want = signIn{reason: ccstore.NoCache}
		}
	default:
		s.none = false
	}
}

// announceWant has the store announce that the user has to sign in, if so: the client
// has its answer by now.
func (c *call) announceWant() {
	if c.want == (signIn{}) || !c.conn.server.seekers.tell(c.conn.account, c.conn.peer.PID, c.start) {
		return
	}
	c.conn.endTurn()
	n := ccstore.Notice{Kind: ccstore.SignInWanted, PID: c.conn.peer.PID, Want: c.want.reason, Server: c.want.server}
	err := c.conn.server.store.Announce(c.ctx, c.own(), func(*ccstore.Collection) []ccstore.Notice { return []ccstore.Notice{n} })
	if err != nil {
		c.conn.server.log.Debug("cannot announce that a user has to sign in", "uid", c.conn.peer.UID, "err", err)
	}
}

// A seeker is a process that found no cache, or whose user has to sign in.
type seeker struct {
	pid    int32
	looked time.Time // when it found no cache
	told   time.Time // when that was announced
}

// seekers has the last ones of each account.
type seekers struct {
	mu        sync.Mutex
	byAccount map[budget.Account]*[maxSeekers]seeker
	tidied    time.Time
}

const (
	maxSeekers        = 8    // of an account, so that it has so many announcements a minute
	maxSeekerAccounts = 1024 // there are as many as users of the last minute
)

const (
	// wantEvery is the time between two announcements about one process.
	wantEvery = time.Minute

	// lookAgain is the time in which a program that wants a ticket looks for a cache
	// again: for each mechanism of GSSAPI. klist -l and kswitch send the same requests,
	// but once, and desktops that poll do it every 5 seconds.
	lookAgain = 2 * time.Second
)

// again notes that a process found no cache, and reports whether that is so for the
// second time within lookAgain.
func (s *seekers) again(a budget.Account, pid int32, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.get(a, pid, now)
	if one == nil {
		return false
	}
	again := now.Sub(one.looked) < lookAgain
	one.looked = now
	return again
}

// tell reports whether it may be announced now that the user of a process has to sign
// in, and notes that it is.
func (s *seekers) tell(a budget.Account, pid int32, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.get(a, pid, now)
	if one == nil || now.Sub(one.told) < wantEvery {
		return false
	}
	one.told = now
	return true
}

// get returns the seeker that is a process of an account, in the place of the oldest one
// if it is new. It returns nil if there is no place. s.mu is held.
func (s *seekers) get(a budget.Account, pid int32, now time.Time) *seeker {
	list := s.byAccount[a]
	if list == nil {
		s.tidy(now)
		if len(s.byAccount) >= maxSeekerAccounts {
			return nil
		}
		list = new([maxSeekers]seeker)
		s.byAccount[a] = list
	}
	var oldest *seeker
	for i := range list {
		switch one := &list[i]; {
		case one.pid == pid && !one.idle(time.Time{}):
			return one
		case now.Sub(one.told) >= wantEvery && (oldest == nil || one.looked.Before(oldest.looked)):
			oldest = one
		}
	}
	if oldest != nil {
		*oldest = seeker{pid: pid}
	}
	return oldest
}

// idle reports whether a process did nothing after a time.
func (s *seeker) idle(since time.Time) bool {
	return !s.looked.After(since) && !s.told.After(since)
}

// tidy drops, now and then, the accounts without a seeker of the last minute. s.mu is
// held.
func (s *seekers) tidy(now time.Time) {
	if s.byAccount == nil {
		s.byAccount = make(map[budget.Account]*[maxSeekers]seeker)
	}
	if len(s.byAccount) < maxSeekerAccounts/2 || now.Sub(s.tidied) < time.Second {
		return
	}
	s.tidied = now
	for a, list := range s.byAccount {
		busy := false
		for i := range list {
			busy = busy || !list[i].idle(now.Add(-wantEvery))
		}
		if !busy {
			delete(s.byAccount, a)
		}
	}
}
