package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
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
	now, asked model

	own   [2]*client
	root  *client // who reaches the caches by name
	fresh bool    // the connections are new: look at everything first
}

const (
	playerCaches   = 6
	playerServices = 20 // in each of them, at most
	playerPause    = 40 * time.Millisecond
)

func newPlayer(s *stage, uid, number int) *player {
	p := &player{stage: s, uid: uid, number: number, random: s.random(uint64(uid*10 + number))}
	if p.hasDefault() {
		p.now.defaultName = strconv.Itoa(uid) // as long as nobody says otherwise
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
		if err := p.settle(); err != nil {
			return err
		}
		p.fresh = false
	}
	return p.choose()(p)
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
	for _, c := range []*client{p.own[0], p.own[1], p.root} {
		if c != nil {
			c.close()
		}
	}
	p.own, p.root = [2]*client{}, nil
}

// settle looks at everything. What was answered is there; what was asked for
// last, without an answer, is there as a whole or not at all.
func (p *player) settle() error {
	got, err := p.look()
	if err != nil {
		return err
	}
	if err := p.now.compare(got); err != nil {
		if p.asked.compare(got) != nil {
			return fmt.Errorf("after connecting: %w", err)
		}
		p.now = p.asked
	}
	p.asked = p.now
	return nil
}

// verify looks at everything over a connection of its own.
func (p *player) verify() error {
	defer p.leave()
	if err := p.connect(); err != nil {
		return err
	}
	return p.settle()
}

// look asks for all that the player knows.
func (p *player) look() (model, error) {
	var m model
	for i := range playerCaches {
		name := p.cacheName(i)
		c, err := p.lookAt(name)
		if errors.Is(err, kcm.FCCNoFile) {
			continue
		}
		if err != nil {
			return m, err
		}
		m = m.with(name, c)
	}
	if p.hasDefault() {
		b, err := p.own[0].call(kcm.OpGetDefaultCache)
		if err != nil {
			return m, err
		}
		m.defaultName = kcm.NewDecoder(b).Name()
	}
	return m, nil
}

func (p *player) lookAt(cacheName string) (cache, error) {
	var c cache
	b, err := p.own[0].call(kcm.OpGetPrincipal, name(cacheName))
	if err != nil {
		return c, err
	}
	if c.principal, err = ccache.ParsePrincipal(b); err != nil {
		return c, err
	}
	if b, err = p.own[0].call(kcm.OpGetKDCOffset, name(cacheName)); err != nil {
		return c, err
	}
	c.offset = int32(binary.BigEndian.Uint32(b))
	if b, err = p.own[0].call(kcm.OpGetCredList, name(cacheName)); err != nil {
		return c, err
	}
	c.creds, err = readCredentials(b)
	return c, err
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
func (p *player) someone() *client {
	if p.random.IntN(10) == 0 {
		return p.root
	}
	return p.own[p.random.IntN(len(p.own))]
}

func (p *player) someName() string { return p.cacheName(p.random.IntN(playerCaches)) }

// existing returns one of the caches that there are, and a name without a cache
// if there is none.
func (p *player) existing() (string, cache) {
	for range 3 {
		name := p.someName()
		if c, ok := p.now.caches[name]; ok {
			return name, c
		}
	}
	name := p.someName()
	return name, p.now.caches[name]
}

// change sends a request that changes something. then is what there is after it.
func (p *player) change(then model, op kcm.Opcode, args ...[]byte) error {
	p.asked = then
	if _, err := p.someone().call(op, args...); err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	p.now = then
	return nil
}

// refused sends a request for a cache that is not there.
func (p *player) refused(op kcm.Opcode, args ...[]byte) error {
	_, err := p.someone().call(op, args...)
	if isBroken(err) || errors.Is(err, kcm.FCCNoFile) {
		return ignoreCode(err)
	}
	return fmt.Errorf("%v on a cache that is not there: %v, want %v", op, err, kcm.FCCNoFile)
}

// ignoreCode returns err unless it is an answer.
func ignoreCode(err error) error {
	if isBroken(err) {
		return err
	}
	return nil
}

func (p *player) has(name string) bool {
	_, ok := p.now.caches[name]
	return ok
}

func (p *player) retrieve() error {
	name0, c := p.existing()
	if len(c.creds) == 0 {
		return p.retrieveNothing()
	}
	want := c.creds[p.random.IntN(len(c.creds))].bytes
	cred, err := ccache.ParseCredential(want)
	if err != nil {
		return err
	}
	got, err := p.someone().call(kcm.OpRetrieve, name(name0), matchServer(cred.Server))
	if err != nil {
		return fmt.Errorf("RETRIEVE of what was stored in %s: %w", name0, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("RETRIEVE from %s: %d bytes that are not what was stored", name0, len(got))
	}
	return nil
}

func (p *player) retrieveNothing() error {
	cacheName, match := p.someName(), matchServer(service("never.kcmd.test"))
	if !p.has(cacheName) {
		return p.refused(kcm.OpRetrieve, name(cacheName), match)
	}
	_, err := p.someone().call(kcm.OpRetrieve, name(cacheName), match)
	if err == nil || !isBroken(err) && !errors.Is(err, kcm.CCNotFound) {
		return fmt.Errorf("RETRIEVE of what was never stored: %v, want %v", err, kcm.CCNotFound)
	}
	return ignoreCode(err)
}

// someCredential makes a credential: of a hundred some are settings, and one is
// large.
func (p *player) someCredential(client ccache.Principal) credential {
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
	return credential{server.String(), makeTicket(p.random, client, server, size, longLife)}
}

func (p *player) store() error {
	cacheName, c := p.existing()
	if !p.has(cacheName) {
		return p.refused(kcm.OpStore, name(cacheName), p.someCredential(person("nobody")).bytes)
	}
	cred := p.someCredential(c.principal)
	return p.change(p.now.with(cacheName, c.with(cred)), kcm.OpStore, name(cacheName), cred.bytes)
}

func (p *player) list() error {
	cacheName, c := p.existing()
	if !p.has(cacheName) {
		return p.refused(kcm.OpGetCredList, name(cacheName))
	}
	b, err := p.someone().call(kcm.OpGetCredList, name(cacheName))
	if err != nil {
		return fmt.Errorf("GET_CRED_LIST of %s: %w", cacheName, err)
	}
	creds, err := readCredentials(b)
	if err != nil {
		return err
	}
	return p.compareList(cacheName, c, cache{creds: creds}.list())
}

func (p *player) compareList(cacheName string, c cache, got [][]byte) error {
	if err := compareLists(c.list(), got); err != nil {
		return fmt.Errorf("list of %s: %w", cacheName, err)
	}
	return nil
}

const uuidLen = 16

// iterate lists a cache as clients before MIT 1.20 and Heimdal's do.
func (p *player) iterate() error {
	cacheName, c := p.existing()
	if !p.has(cacheName) {
		return p.refused(kcm.OpGetCredUUIDList, name(cacheName))
	}
	who := p.someone()
	ids, err := who.call(kcm.OpGetCredUUIDList, name(cacheName))
	if err != nil {
		return fmt.Errorf("GET_CRED_UUID_LIST of %s: %w", cacheName, err)
	}
	var got [][]byte
	for id := range slices.Chunk(ids, uuidLen) {
		b, err := who.call(kcm.OpGetCredByUUID, name(cacheName), id)
		if err != nil {
			return fmt.Errorf("GET_CRED_BY_UUID of %s: %w", cacheName, err)
		}
		got = append(got, b)
	}
	return p.compareList(cacheName, c, got)
}

func (p *player) principal() error {
	cacheName, c := p.existing()
	if !p.has(cacheName) {
		return p.refused(kcm.OpGetPrincipal, name(cacheName))
	}
	b, err := p.someone().call(kcm.OpGetPrincipal, name(cacheName))
	if err != nil {
		return fmt.Errorf("GET_PRINCIPAL of %s: %w", cacheName, err)
	}
	if got, err := ccache.ParsePrincipal(b); err != nil || !got.Equal(c.principal) {
		return fmt.Errorf("%s is of %v, want %v (%v)", cacheName, got, c.principal, err)
	}
	return nil
}

func (p *player) remove() error {
	cacheName, c := p.existing()
	server := service(fmt.Sprintf("s%d.kcmd.test", p.random.IntN(playerServices)))
	args := [][]byte{name(cacheName), matchServer(server)}
	if !p.has(cacheName) {
		return p.refused(kcm.OpRemoveCred, args...)
	}
	return p.change(p.now.with(cacheName, c.without(server.String())), kcm.OpRemoveCred, args...)
}

// replace is what kinit of MIT 1.21 does.
func (p *player) replace() error {
	cacheName := p.someName()
	c := cache{principal: p.somebody(), offset: int32(p.random.IntN(100) - 50)}
	for range p.random.IntN(5) {
		c = c.with(p.someCredential(c.principal))
	}
	return p.change(p.now.with(cacheName, c), kcm.OpReplace, name(cacheName),
		binary.BigEndian.AppendUint32(nil, uint32(c.offset)), c.principal.Append(nil), credentialList(c.list()))
}

func (p *player) somebody() ccache.Principal { return person(fmt.Sprint("user", p.random.IntN(5))) }

func (p *player) initialize() error {
	cacheName, c := p.someName(), cache{principal: p.somebody()}
	return p.change(p.now.with(cacheName, c), kcm.OpInitialize, name(cacheName), c.principal.Append(nil))
}

func (p *player) destroy() error {
	cacheName := p.someName()
	if !p.has(cacheName) {
		return p.refused(kcm.OpDestroy, name(cacheName))
	}
	return p.change(p.now.without(cacheName), kcm.OpDestroy, name(cacheName))
}

func (p *player) move() error {
	from, to := p.someName(), p.someName()
	if !p.has(from) {
		return p.refused(kcm.OpMoveCache, name(from), name(to))
	}
	then := p.now
	if from != to {
		then = p.now.without(from).with(to, p.now.caches[from])
	}
	return p.change(then, kcm.OpMoveCache, name(from), name(to))
}

func (p *player) setOffset() error {
	cacheName, c := p.existing()
	c.offset = int32(p.random.IntN(1000))
	args := [][]byte{name(cacheName), binary.BigEndian.AppendUint32(nil, uint32(c.offset))}
	if !p.has(cacheName) {
		return p.refused(kcm.OpSetKDCOffset, args...)
	}
	return p.change(p.now.with(cacheName, c), kcm.OpSetKDCOffset, args...)
}

func (p *player) setDefault() error {
	if !p.hasDefault() {
		return p.reconnect()
	}
	cacheName := p.someName()
	return p.change(p.now.withDefault(cacheName), kcm.OpSetDefaultCache, name(cacheName))
}

// newName asks for a name that no cache has.
func (p *player) newName() error {
	b, err := p.own[0].call(kcm.OpGenNew)
	if err != nil {
		return fmt.Errorf("GEN_NEW: %w", err)
	}
	if got := kcm.NewDecoder(b).Name(); p.has(got) {
		return fmt.Errorf("GEN_NEW: %q, which is there", got)
	}
	return nil
}

// collection goes through all caches of the uid, among which are the player's.
func (p *player) collection() error {
	who := p.own[p.random.IntN(len(p.own))]
	ids, err := who.call(kcm.OpGetCacheUUIDList)
	if err != nil {
		return fmt.Errorf("GET_CACHE_UUID_LIST: %w", err)
	}
	names := make(map[string]bool)
	for id := range slices.Chunk(ids, uuidLen) {
		b, err := who.call(kcm.OpGetCacheByUUID, id)
		if isBroken(err) {
			return err
		}
		// Another player may have destroyed its cache meanwhile.
		if err == nil {
			names[kcm.NewDecoder(b).Name()] = true
		}
	}
	for i := range playerCaches {
		if n := p.cacheName(i); names[n] != p.has(n) {
			return fmt.Errorf("GET_CACHE_UUID_LIST lists %s: %v, and it is there: %v", n, names[n], p.has(n))
		}
	}
	return nil
}

// reconnect comes back later with other connections.
func (p *player) reconnect() error {
	p.leave()
	return nil
}
