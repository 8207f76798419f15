package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A subscriber listens for a while, counts the signals, and goes away in the
// middle.
type subscriber struct {
	stage  *stage
	uid    int
	random *rand.Rand
}

func newSubscriber(s *stage, uid int) *subscriber {
	return &subscriber{s, uid, s.random(uint64(uid))}
}

func (b *subscriber) play(ctx context.Context) error {
	return b.stage.repeat(ctx, time.Second, b.listen)
}

func (b *subscriber) listen(ctx context.Context) error {
	m, err := b.stage.newMonitor(b.uid)
	if err != nil {
		return err
	}
	defer m.stop()
	// Some do not read what they have asked for.
	if b.random.IntN(4) == 0 {
		if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	}
	enough := time.After(time.Duration(5+b.random.IntN(15)) * time.Second)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-enough:
			return nil
		case _, ok := <-m.signals:
			if !ok {
				return errors.New("the monitor has ended")
			}
			b.stage.tally.signals.Add(1)
		}
	}
}

// A herald makes caches and destroys them, and waits for the signals that tell
// of it: none may be missing.
type herald struct {
	stage  *stage
	rounds int
}

const (
	heraldPause = time.Second
	// heraldRounds is how many rounds one monitor listens to.
	heraldRounds = 20
)

func newHerald(s *stage) *herald { return &herald{stage: s} }

func (h *herald) play(ctx context.Context) error {
	return h.stage.repeat(ctx, heraldPause, h.listen)
}

func (h *herald) listen(ctx context.Context) error {
	m, err := h.stage.newMonitor(heraldUID)
	if err != nil {
		return err
	}
	defer m.stop()
	c, err := h.stage.dial(heraldUID)
	if err != nil {
		return err
	}
	defer c.Close()
	for range heraldRounds {
		if err := h.announce(m, c); err != nil {
			return err
		}
		if !sleep(ctx, heraldPause) {
			return nil
		}
	}
	return nil
}

var cachePath = regexp.MustCompile(managerPath + `/user/\d+/cache/[0-9a-f]{32}`)

// announce makes a cache and destroys it.
func (h *herald) announce(m *monitor, c *client.Client) error {
	h.rounds++
	principal, cacheName := fmt.Sprint("herald", h.rounds), strconv.Itoa(heraldUID)+":h"
	if err := c.Initialize(cacheName, person(principal)); err != nil {
		return err
	}
	// The cache is a new one but after an interruption: then it is an old one
	// with another principal.
	line, err := h.await(m, principal+"@")
	if err != nil {
		return fmt.Errorf("a cache was made: %w", err)
	}
	if err := c.Destroy(cacheName); err != nil {
		return err
	}
	if _, err := h.await(m, "InterfacesRemoved", cachePath.FindString(line)); err != nil {
		return fmt.Errorf("a cache was destroyed: %w", err)
	}
	return nil
}

// await waits for a signal in which all the words are.
func (h *herald) await(m *monitor, words ...string) (string, error) {
	late := time.After(patience)
	turn := h.stage.life.turn()
	now := time.NewTicker(100 * time.Millisecond)
	defer now.Stop()
	for {
		select {
		case <-now.C:
			// A daemon that was started anew knows nothing of the monitor.
			if h.stage.life.interrupted(turn) {
				return "", errors.New("the daemon was ended")
			}
		case <-late:
			return "", fmt.Errorf("no signal with %q within %v", words, patience)
		case line, ok := <-m.signals:
			if !ok {
				return "", errors.New("the monitor has ended")
			}
			h.stage.tally.signals.Add(1)
			if containsAll(line, words) {
				h.stage.tally.awaited.Add(1)
				return line, nil
			}
		}
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}
