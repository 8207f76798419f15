package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/model"
)

// A player does everything that clients do with caches, at random, and knows
// what must be in them. It has the caches of its own that nobody else touches.
type player struct {
	stage  *stage
	uid    int
	number int // among those of its uid
	random *rand.Rand

	// now is what was answered. asked is what there is if the request that was
	// not answered was carried out.
	now, asked model.Model

	own   [2]*client.Client
	root  *client.Client // who reaches the caches by name
	fresh bool           // the connections are new: look at everything first
}

const (
	playerCaches   = 6
	playerServices = 20 // in each of them, at most
	playerPause    = 40 * time.Millisecond
)

func newPlayer(s *stage, uid, number int) *player {
	p := &player{stage: s, uid: uid, number: number, random: s.random(uint64(uid*10 + number))}
	if p.hasDefault() {
		p.now.Default = strconv.Itoa(uid) // as long as nobody says otherwise
	}
	p.asked = p.now
	return p
}

func (p *player) id() string { return fmt.Sprintf("player %d.%d", p.uid, p.number) }

// hasDefault tells whether the player is the one of its uid who sets the default.
func (p *player) hasDefault() bool { return p.number == 0 }

func (p *player) cacheName(i int) string {
	return fmt.Sprintf("%d:p%d.%d", p.uid, p.number, i)
}

func (p *player) play(ctx context.Context) error {
	defer p.leave()
	for sleep(ctx, time.Duration(p.random.ExpFloat64()*float64(playerPause))) {
		err := p.step()
		if p.stage.excused(err) {
			p.leave()
			err = p.stage.life.await(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step connects, and looks at everything, or does one thing.
func (p *player) step() error {
	if p.root == nil {
		return p.connect()
	}
	if p.fresh {
		if err := p.catchUp(); err != nil {
			return err
		}
		p.fresh = false
	}
	err := p.choose()(p)
	if errors.Is(err, kcm.FCCNoFile) && p.mayLackCaches() {
		p.asked, p.fresh, err = p.now, true, nil
	}
	return err
}

// mayLackCaches reports whether the daemon may have reaped a cache: it has no tickets,
// as something came between INITIALIZE and STORE, or all were removed.
func (p *player) mayLackCaches() bool {
	for _, c := range p.now.Caches {
		if !c.HasTickets() {
			return true
		}
	}
	return false
}

func (p *player) connect() (err error) {
	for i := range p.own {
		if p.own[i], err = p.stage.dial(p.uid); err != nil {
			return err
		}
	}
	p.fresh = true
	p.root, err = p.stage.dial(0)
	return err
}

func (p *player) leave() {
	for _, c := range []*client.Client{p.own[0], p.own[1], p.root} {
		if c != nil {
			c.Close()
		}
	}
	p.own, p.root = [2]*client.Client{}, nil
}

// catchUp compares everything. All answered requests have been carried out, and the
// last one without an answer as a whole or not at all.
func (p *player) catchUp() error {
	got, err := p.look()
	if err != nil {
		return err
	}
	p.now, p.asked = withoutReaped(p.now, got), withoutReaped(p.asked, got)
	if err := p.now.Compare(got); err != nil {
		if p.asked.Compare(got) != nil {
			return fmt.Errorf("after connecting: %w", err)
		}
		p.now = p.asked
	}
	p.asked = p.now
	return nil
}

// withoutReaped returns want without the caches that the daemon may have reaped: those
// without tickets.
func withoutReaped(want, got model.Model) model.Model {
	for name, c := range want.Caches {
		if !c.HasTickets() && !got.Has(name) {
			want = want.Without(name)
			if want.Default == name {
				want.Default = got.Default
			}
		}
	}
	return want
}

// verify looks at everything over a connection of its own.
func (p *player) verify() error {
	defer p.leave()
	if err := p.connect(); err != nil {
		return err
	}
	return p.catchUp()
}

// look reads all caches of the player.
func (p *player) look() (model.Model, error) {
	var names []string
	for i := range playerCaches {
		names = append(names, p.cacheName(i))
	}
	return model.Read(p.own[0], names, p.hasDefault())
}

// moves are what a player does, and how often of a hundred times.
var moves = []struct {
	often int
	do    func(*player) error
}{
	{36, (*player).retrieve},
	{5, (*player).retrieveNothing},
	{20, (*player).store},
	{7, (*player).list},
	{4, (*player).iterate},
	{4, (*player).principal},
	{5, (*player).remove},
	{3, (*player).replace},
	{3, (*player).initialize},
	{2, (*player).destroy},
	{3, (*player).move},
	{2, (*player).setOffset},
	{2, (*player).setDefault},
	{1, (*player).newName},
	{2, (*player).collection},
	{1, (*player).reconnect},
}

func (p *player) choose() func(*player) error {
	n := p.random.IntN(100)
	for _, m := range moves {
		if n -= m.often; n < 0 {
			return m.do
		}
	}
	return (*player).retrieve
}

// someone is one of the player's connections, now and then root's.
func (p *player) someone() *client.Client {
	if p.random.IntN(10) == 0 {
		return p.root
	}
	return p.own[p.random.IntN(len(p.own))]
}

func (p *player) someName() string { return p.cacheName(p.random.IntN(playerCaches)) }

// someCache returns the name of a cache, most often of one that exists.
func (p *player) someCache() (string, model.Cache) {
	name := p.someName()
	for range 2 {
		if !p.now.Has(name) {
			name = p.someName()
		}
	}
	return name, p.now.Caches[name]
}

// change sends a request that changes something.
func (p *player) change(c model.Change) error {
	p.asked = c.After
	if err := c.Do(p.someone()); err != nil {
		return err
	}
	p.now = c.After
	return nil
}

// changeExisting sends a request about a cache, which fails unless it exists.
func (p *player) changeExisting(cacheName string, c model.Change) error {
	if !p.now.Has(cacheName) {
		return wantNoFile(c.Do(p.someone()))
	}
	return p.change(c)
}

// wantNoFile returns nil if err is the answer that a cache does not exist.
func wantNoFile(err error) error {
	if isBroken(err) || errors.Is(err, kcm.FCCNoFile) {
		return ignoreCode(err)
	}
	return fmt.Errorf("a request for a missing cache: %v, want %v", err, kcm.FCCNoFile)
}

// ignoreCode returns err unless it is an answer.
func ignoreCode(err error) error {
	if isBroken(err) {
		return err
	}
	return nil
}

func (p *player) retrieve() error {
	cacheName, c := p.someCache()
	if len(c.Creds) == 0 {
		return p.retrieveNothing()
	}
	want := c.Creds[p.random.IntN(len(c.Creds))]
	got, err := p.someone().Retrieve(cacheName, to(want.Server))
	if mustIterate(c) && errors.Is(err, kcm.FCCInternal) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", cacheName, err)
	}
	if !same(got, want) {
		return fmt.Errorf("RETRIEVE from %s: not the stored credential", cacheName)
	}
	return nil
}

// mustIterate reports whether RETRIEVE refuses a cache, so that libkrb5 iterates over
// it and learns its KDC offset.
func mustIterate(c model.Cache) bool { return c.Offset >= 60 || c.Offset <= -60 }

func (p *player) retrieveNothing() error {
	cacheName := p.someName()
	_, err := p.someone().Retrieve(cacheName, to(service("never.kcmd.test")))
	if !p.now.Has(cacheName) {
		return wantNoFile(err)
	}
	if mustIterate(p.now.Caches[cacheName]) && errors.Is(err, kcm.FCCInternal) {
		return nil
	}
	if err == nil || !isBroken(err) && !errors.Is(err, kcm.CCNotFound) {
		return fmt.Errorf("RETRIEVE of a ticket that was never stored: %v, want %v", err, kcm.CCNotFound)
	}
	return ignoreCode(err)
}

// someCredential returns a credential. Of a hundred some are settings, and one is
// large.
func (p *player) someCredential(client ccache.Principal) *ccache.Credential {
	n, server, size := p.random.IntN(100), service(fmt.Sprintf("s%d.kcmd.test", p.random.IntN(playerServices))), 1200
	switch {
	case n < 5:
		server, size = setting(fmt.Sprint("key", n)), 10
	case n < 10:
		server = tgs()
	case n == 10:
		size = 100_000
	case n == 11 && p.random.IntN(20) == 0:
		size = 1 << 20
	}
	return makeTicket(p.random, client, server, size, longLife)
}

func (p *player) someTGT(client ccache.Principal) *ccache.Credential {
	return makeTicket(p.random, client, tgs(), 1200, longLife)
}

func (p *player) store() error {
	cacheName, c := p.someCache()
	return p.changeExisting(cacheName, p.now.Store(cacheName, p.someCredential(c.Principal)))
}

func (p *player) list() error {
	cacheName, c := p.someCache()
	got, err := p.someone().GetCredList(cacheName)
	return p.compare(cacheName, c, got, err)
}

// compare compares a list of credentials.
func (p *player) compare(cacheName string, c model.Cache, got []*ccache.Credential, err error) error {
	if !p.now.Has(cacheName) {
		return wantNoFile(err)
	}
	if err == nil {
		err = model.CompareCreds(c.Creds, got)
	}
	if err != nil {
		return fmt.Errorf("list of %s: %w", cacheName, err)
	}
	return nil
}

// iterate lists a cache as Heimdal and MIT before 1.20 do.
func (p *player) iterate() error {
	cacheName, c := p.someCache()
	who := p.someone()
	ids, err := who.GetCredUUIDList(cacheName)
	var got []*ccache.Credential
	for i := 0; i < len(ids) && err == nil; i++ {
		var cred *ccache.Credential
		cred, err = who.GetCredByUUID(cacheName, ids[i])
		got = append(got, cred)
	}
	return p.compare(cacheName, c, got, err)
}

func (p *player) principal() error {
	cacheName, c := p.someCache()
	got, err := p.someone().GetPrincipal(cacheName)
	if !p.now.Has(cacheName) {
		return wantNoFile(err)
	}
	if err != nil {
		return err
	}
	if !got.Equal(c.Principal) {
		return fmt.Errorf("the principal of %s is %v, want %v", cacheName, got, c.Principal)
	}
	return nil
}

func (p *player) remove() error {
	cacheName, _ := p.someCache()
	return p.changeExisting(cacheName, p.now.Remove(cacheName, service(fmt.Sprintf("s%d.kcmd.test", p.random.IntN(playerServices)))))
}

// replace sends the request of kinit of MIT 1.21.
func (p *player) replace() error {
	c := model.Cache{Principal: p.somebody(), Offset: int32(p.random.IntN(100) - 50)}
	c = c.With(p.someTGT(c.Principal))
	for range p.random.IntN(5) {
		c = c.With(p.someCredential(c.Principal))
	}
	return p.change(p.now.Replace(p.someName(), c))
}

func (p *player) somebody() ccache.Principal { return person(fmt.Sprint("user", p.random.IntN(5))) }

// initialize makes a cache, and stores a TGT: the daemon reaps a cache without tickets.
func (p *player) initialize() error {
	name, who := p.someName(), p.somebody()
	if err := p.change(p.now.Initialize(name, who)); err != nil {
		return err
	}
	return p.change(p.now.Store(name, p.someTGT(who)))
}

func (p *player) destroy() error {
	cacheName := p.someName()
	return p.changeExisting(cacheName, p.now.Destroy(cacheName))
}

func (p *player) move() error {
	from, to := p.someName(), p.someName()
	return p.changeExisting(from, p.now.Move(from, to))
}

func (p *player) setOffset() error {
	cacheName, _ := p.someCache()
	return p.changeExisting(cacheName, p.now.SetOffset(cacheName, int32(p.random.IntN(1000))))
}

func (p *player) setDefault() error {
	if !p.hasDefault() {
		return p.reconnect()
	}
	return p.change(p.now.SetDefault(p.someName()))
}

// newName asks for an unused name.
func (p *player) newName() error {
	got, err := p.own[0].GenNew()
	if err == nil && p.now.Has(got) {
		err = fmt.Errorf("GEN_NEW: %q is in use", got)
	}
	return err
}

// collection lists all caches of the uid, among which are the player's.
func (p *player) collection() error {
	who := p.own[p.random.IntN(len(p.own))]
	ids, err := who.GetCacheUUIDList()
	if err != nil {
		return err
	}
	names := make(map[string]bool)
	for _, id := range ids {
		name, err := who.GetCacheByUUID(id)
		if isBroken(err) {
			return err
		}
		// Another player may have destroyed its cache meanwhile.
		if err == nil {
			names[name] = true
		}
	}
	for i := range playerCaches {
		n := p.cacheName(i)
		if p.now.Has(n) && !names[n] && !p.now.Caches[n].HasTickets() {
			p.fresh = true // it was reaped
			continue
		}
		if names[n] != p.now.Has(n) {
			return fmt.Errorf("GET_CACHE_UUID_LIST lists %s: %v, want %v", n, names[n], p.now.Has(n))
		}
	}
	return nil
}

// reconnect connects again with the next step.
func (p *player) reconnect() error {
	p.leave()
	return nil
}
