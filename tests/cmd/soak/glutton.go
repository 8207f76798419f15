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
)

// A glutton stores all that it may and more.
type glutton struct {
	stage  *stage
	random *rand.Rand
	client *client.Client
	tgt    *ccache.Credential // which no limit evicts
	meals  int
}

const (
	gluttonPause = 5 * time.Second
	// largeMeal is how many times it stores a hundred tickets before it stores
	// megabytes: that is hard on the disk.
	largeMeal = 10
)

func newGlutton(s *stage) *glutton {
	return &glutton{stage: s, random: s.random(gluttonUID)}
}

func (g *glutton) play(ctx context.Context) error {
	return g.stage.repeat(ctx, gluttonPause, func(context.Context) error { return g.eat() })
}

func (g *glutton) cacheName(i int) string { return strconv.Itoa(gluttonUID) + ":" + strconv.Itoa(i) }

// eat makes a cache with a TGT, stores in it, and destroys everything.
func (g *glutton) eat() (err error) {
	if g.client, err = g.stage.dial(gluttonUID); err != nil {
		return err
	}
	defer g.client.Close()
	for i := range maxCaches + 1 { // of the last time, if that was interrupted
		if err := g.destroy(i); err != nil {
			return err
		}
	}
	g.tgt = makeTicket(g.random, person("glutton"), tgs(), 1200, longLife)
	if err := g.client.Replace(g.cacheName(0), 0, person("glutton"), []*ccache.Credential{g.tgt}); err != nil {
		return err
	}
	g.meals++
	course := g.tickets
	switch {
	case g.meals%largeMeal == 1:
		course = g.megabytes
	case g.meals%2 == 0:
		course = g.caches
	}
	if err := course(); err != nil {
		return err
	}
	g.stage.tally.exceeded.Add(1)
	return g.keeps(g.tgt)
}

func (g *glutton) destroy(i int) error {
	err := g.client.Destroy(g.cacheName(i))
	if errors.Is(err, kcm.FCCNoFile) {
		return nil
	}
	return err
}

// tickets stores more tickets than a cache may have.
func (g *glutton) tickets() error {
	var last *ccache.Credential
	for i := range maxTickets * 3 / 2 {
		var err error
		if last, err = g.store(i, 1200); err != nil {
			return err
		}
	}
	ids, err := g.client.GetCredUUIDList(g.cacheName(0))
	if err != nil {
		return err
	}
	if n := len(ids); n != maxTickets {
		return fmt.Errorf("%d tickets are kept, want %d", n, maxTickets)
	}
	return g.keeps(last)
}

// caches makes more caches than a user may have. Each holds a TGT, so that no limit
// evicts it; a cache without tickets makes room.
func (g *glutton) caches() error {
	if err := g.client.Initialize(g.cacheName(maxCaches), person("glutton")); err != nil {
		return err
	}
	for i := 1; i < maxCaches; i++ {
		if err := g.client.Replace(g.cacheName(i), 0, person("glutton"), []*ccache.Credential{g.tgt}); err != nil {
			return fmt.Errorf("cache number %d of %d: %w", i, maxCaches, err)
		}
	}
	if _, err := g.client.GetPrincipal(g.cacheName(maxCaches)); isBroken(err) || !errors.Is(err, kcm.FCCNoFile) {
		return errors.Join(errors.New("a cache without tickets was not evicted"), err)
	}
	err := g.client.Initialize(g.cacheName(maxCaches), person("glutton"))
	if !isBroken(err) && !errors.Is(err, kcm.EDQUOT) {
		return fmt.Errorf("INITIALIZE of one cache too many: %v, want %v", err, kcm.EDQUOT)
	}
	return ignoreCode(err)
}

// megabytes stores more bytes than a user may have.
func (g *glutton) megabytes() error {
	const size = 1 << 20
	var last *ccache.Credential
	for i := range maxBytes/size + 4 {
		var err error
		if last, err = g.store(i, size); err != nil {
			return err
		}
	}
	ids, err := g.client.GetCredUUIDList(g.cacheName(0))
	if err != nil {
		return err
	}
	total := 0
	for _, id := range ids {
		cred, err := g.client.GetCredByUUID(g.cacheName(0), id)
		if err != nil {
			return err
		}
		total += len(cred.Bytes())
	}
	if total > maxBytes || total < maxBytes-2*size {
		return fmt.Errorf("%d bytes are kept, want %d or little less", total, maxBytes)
	}
	return g.keeps(last)
}

func (g *glutton) store(i, size int) (*ccache.Credential, error) {
	ticket := makeTicket(g.random, person("glutton"), service(fmt.Sprint("meal", i)), size, longLife)
	err := g.client.Store(g.cacheName(0), ticket)
	if err != nil {
		err = fmt.Errorf("number %d of %d bytes: %w", i, size, err)
	}
	return ticket, err
}

// keeps checks that a credential is in the cache.
func (g *glutton) keeps(want *ccache.Credential) error {
	got, err := g.client.Retrieve(g.cacheName(0), to(want.Server))
	if err != nil {
		return fmt.Errorf("%v: %w", want.Server, err)
	}
	if !same(got, want) {
		return fmt.Errorf("the ticket for %v is not the stored one", want.Server)
	}
	return nil
}
