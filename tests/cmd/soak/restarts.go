package main

import (
	"context"
	"time"
)

// How long the daemon lives between two restarts: it is random, so that they
// come at any time of what clients do.
const (
	leastLife = 2 * time.Second
	mostLife  = 10 * time.Second
)

// restart ends the daemon now and then, in turn as systemd does it and as a
// crash does it.
func (s *stage) restart(ctx context.Context) error {
	random := s.random(1)
	for n := 0; sleep(ctx, leastLife+time.Duration(random.Int64N(int64(mostLife-leastLife)))); n++ {
		how := s.life.daemon.Stop
		if n%2 == 1 {
			how = s.life.daemon.Kill
		}
		if err := s.life.end(how); err != nil {
			s.faults.add("restart", err)
		}
		start := time.Now()
		if err := s.life.begin(); err != nil {
			return err
		}
		s.tally.restarts.Add(1)
		s.tally.started.add(time.Since(start))
	}
	return nil
}
