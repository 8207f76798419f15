package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// A glutton stores all that it may and more.
type glutton struct {
	stage  *stage
	random *rand.Rand
	client *client
	tgt    []byte // that no limit takes from it
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
	defer g.client.close()
	for i := range maxCaches + 1 { // of the last time, if that was interrupted
		if err := g.destroy(i); err != nil {
			return err
		}
	}
	g.tgt = makeTicket(g.random, person("glutton"), tgs(), 1200, longLife)
	if _, err := g.client.call(kcm.OpReplace, name(g.cacheName(0)), make([]byte, 4), person("glutton").Append(nil), credentialList([][]byte{g.tgt})); err != nil {
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
	_, err := g.client.call(kcm.OpDestroy, name(g.cacheName(i)))
	if errors.Is(err, kcm.FCCNoFile) {
		return nil
	}
	return err
}

// tickets stores more tickets than a cache may have.
func (g *glutton) tickets() error {
	var last []byte
	for i := range maxTickets * 3 / 2 {
		var err error
		if last, err = g.store(i, 1200); err != nil {
			return err
		}
	}
	ids, err := g.client.call(kcm.OpGetCredUUIDList, name(g.cacheName(0)))
	if err != nil {
		return err
	}
	if n := len(ids) / uuidLen; n != maxTickets {
		return fmt.Errorf("%d tickets are kept, want %d", n, maxTickets)
	}
	return g.keeps(last)
}

// caches makes more caches than a user may have.
func (g *glutton) caches() error {
	for i := 1; i < maxCaches; i++ {
		if _, err := g.client.call(kcm.OpInitialize, name(g.cacheName(i)), person("glutton").Append(nil)); err != nil {
			return fmt.Errorf("INITIALIZE of cache number %d of %d: %w", i, maxCaches, err)
		}
	}
	_, err := g.client.call(kcm.OpInitialize, name(g.cacheName(maxCaches)), person("glutton").Append(nil))
	if !isBroken(err) && !errors.Is(err, kcm.EDQUOT) {
		return fmt.Errorf("INITIALIZE of one cache too many: %v, want %v", err, kcm.EDQUOT)
	}
	return ignoreCode(err)
}

// megabytes stores more bytes than a user may have.
func (g *glutton) megabytes() error {
	const size = 1 << 20
	var last []byte
	for i := range maxBytes/size + 4 {
		var err error
		if last, err = g.store(i, size); err != nil {
			return err
		}
	}
	ids, err := g.client.call(kcm.OpGetCredUUIDList, name(g.cacheName(0)))
	if err != nil {
		return err
	}
	total := 0
	for id := range slices.Chunk(ids, uuidLen) {
		b, err := g.client.call(kcm.OpGetCredByUUID, name(g.cacheName(0)), id)
		if err != nil {
			return err
		}
		total += len(b)
	}
	if total > maxBytes || total < maxBytes-2*size {
		return fmt.Errorf("%d bytes are kept, want %d or little less", total, maxBytes)
	}
	return g.keeps(last)
}

func (g *glutton) store(i, size int) ([]byte, error) {
	ticket := makeTicket(g.random, person("glutton"), service(fmt.Sprint("meal", i)), size, longLife)
	_, err := g.client.call(kcm.OpStore, name(g.cacheName(0)), ticket)
	if err != nil {
		err = fmt.Errorf("STORE number %d of %d bytes: %w", i, size, err)
	}
	return ticket, err
}

// keeps checks that a credential is there.
func (g *glutton) keeps(want []byte) error {
	cred, err := ccache.ParseCredential(want)
	if err != nil {
		return err
	}
	got, err := g.client.call(kcm.OpRetrieve, name(g.cacheName(0)), matchServer(cred.Server))
	if err != nil {
		return fmt.Errorf("RETRIEVE for %v: %w", cred.Server, err)
	}
	if string(got) != string(want) {
		return fmt.Errorf("the ticket for %v is not the one that was stored", cred.Server)
	}
	return nil
}
