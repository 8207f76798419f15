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

// A mayfly makes caches that end soon, so that the daemon removes them: not
// before their time, and not long after it.
type mayfly struct {
	stage  *stage
	random *rand.Rand
	client *client.Client
	made   []time.Time // when each cache was, zero if there is none
}

const (
	mayflyCaches = 10
	mayflyLife   = 3 * time.Second
	mayflyPause  = 300 * time.Millisecond
)

func newMayfly(s *stage) *mayfly {
	return &mayfly{stage: s, random: s.random(mayflyUID), made: make([]time.Time, mayflyCaches)}
}

func (m *mayfly) play(ctx context.Context) error {
	defer m.leave()
	for sleep(ctx, mayflyPause) {
		err := m.step(m.random.IntN(mayflyCaches))
		if m.stage.excused(err) {
			m.leave()
			err = m.stage.life.await(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *mayfly) leave() {
	if m.client != nil {
		m.client.Close()
		m.client = nil
	}
}

func (m *mayfly) step(i int) (err error) {
	if m.client == nil {
		if m.client, err = m.stage.dial(mayflyUID); err != nil {
			return err
		}
	}
	cacheName := strconv.Itoa(mayflyUID) + ":" + strconv.Itoa(i)
	if m.made[i].IsZero() {
		return m.make(i, cacheName)
	}
	_, err = m.client.GetPrincipal(cacheName)
	if isBroken(err) {
		return err
	}
	// It ends at a whole second, at most one before this.
	earliest := m.made[i].Add(mayflyLife - time.Second + reapAfter)
	latest := m.made[i].Add(mayflyLife + reapAfter + patience)
	gone := errors.Is(err, kcm.FCCNoFile)
	switch now := time.Now(); {
	case err != nil && !gone:
		return fmt.Errorf("%s: %w", cacheName, err)
	case gone && now.Before(earliest):
		return fmt.Errorf("cache %s was removed %v before its time", cacheName, earliest.Sub(now))
	case !gone && now.After(latest):
		return fmt.Errorf("cache %s is still there %v after its end", cacheName, now.Sub(m.made[i].Add(mayflyLife)))
	case gone:
		m.made[i] = time.Time{}
		m.stage.tally.reaped.Add(1)
	}
	return nil
}

func (m *mayfly) make(i int, cacheName string) error {
	m.made[i] = time.Now()
	tgt := makeTicket(m.random, person("mayfly"), tgs(), 1200, mayflyLife)
	err := m.client.Replace(cacheName, 0, person("mayfly"), []*ccache.Credential{tgt})
	if err != nil {
		m.made[i] = time.Time{} // whether it is there or not, it is made again
	}
	return err
}
