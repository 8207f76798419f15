package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
)

const (
	// memorySlack is what the runtime and SQLite may keep more of at one quiet
	// point than at the other.
	memorySlack = 8 << 20
	// threadSlack is what the runtime makes more of when several of them wait for
	// the disk at once. It keeps them.
	threadSlack = 8
	// mostOnDisk is far more than all actors store at once, and bounds the
	// write-ahead log as well.
	mostOnDisk = 64 << 20
	// largestTicket is more than any actor stores, in bytes.
	largestTicket = 9 << 20
	// mostConnections is how many the daemon may have to its database, of which
	// it opens some only when they are needed.
	mostConnections = 5
)

// release is how long it takes to have the daemon give its memory back.
const release = 6 * time.Second

// quiet waits while nobody does anything, and returns what the daemon takes
// then.
func (s *stage) quiet(d time.Duration) (figures, error) {
	s.tally.enter("quiet")
	if err := s.largeTickets(); err != nil {
		return figures{}, err
	}
	time.Sleep(d - release)
	// After a large request the daemon collects its garbage, which else would
	// have it wait for minutes. What has a finalizer is collected in two turns.
	for range 2 {
		if err := s.largeRequest(); err != nil {
			return figures{}, err
		}
		time.Sleep(release / 2)
	}
	f, err := s.look()
	if err != nil {
		return f, fmt.Errorf("cannot look at kcmd when nobody asks it for anything: %w", err)
	}
	return f, nil
}

// largeTickets stores and destroys a ticket of each order of size. SQLite's allocator keeps
// the freed block of a large ticket for the next one (modernc.org/memory, Allocator.Trim):
// at each quiet point it has the same, whatever the actors happened to store before.
func (s *stage) largeTickets() error {
	c, err := s.dial(witnessUID)
	if err != nil {
		return err
	}
	defer c.Close()
	name, who := fmt.Sprintf("%d:large", witnessUID), person("large")
	random := s.random(uint64(witnessUID))
	for size := 64 << 10; ; size = min(2*size, largestTicket) {
		if err := c.Initialize(name, who); err != nil {
			return fmt.Errorf("INITIALIZE: %w", err)
		}
		if err := c.Store(name, makeTicket(random, who, service("large"), size, longLife)); err != nil {
			return fmt.Errorf("STORE of %d bytes: %w", size, err)
		}
		if size == largestTicket {
			break
		}
	}
	return c.Destroy(name)
}

// largeRequest sends one that is about no cache.
func (s *stage) largeRequest() error {
	c, err := s.dial(witnessUID)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Call(kcm.OpNoop, make([]byte, 1<<20))
	return err
}

// compareQuiet compares two quiet points.
func (s *stage) compareQuiet(first, last figures, memory bool) {
	for _, what := range slices.Sorted(maps.Keys(last.files)) {
		allowed := first.files[what]
		if strings.HasPrefix(what, "kcmd.db") && !strings.HasSuffix(what, "-lock") {
			allowed = max(allowed, mostConnections)
		}
		if n := last.files[what]; n > allowed {
			s.faults.add("descriptors", fmt.Errorf("%d of %s are left, before there were %d", n, what, first.files[what]))
		}
	}
	if last.threads > first.threads+threadSlack {
		s.faults.add("threads", fmt.Errorf("%d are left, before there were %d", last.threads, first.threads))
	}
	if grown := last.memory - first.memory; memory && grown > memorySlack {
		s.faults.add("memory", fmt.Errorf("%s are left, before there were %s", mib(last.memory), mib(first.memory)))
	}
	for what, n := range map[string]int64{"database": last.db, "write-ahead log": last.wal} {
		if n > mostOnDisk {
			s.faults.add(what, fmt.Errorf("it has become %s, want %s at most", mib(n), mib(mostOnDisk)))
		}
	}
}
