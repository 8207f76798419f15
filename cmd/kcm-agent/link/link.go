// Package link follows the caches of the user, on the bus where kcmd is.
//
// It imports dbus/client. Its files are link.go, which follows the buses, and follow.go,
// which keeps the caches of one kcmd.
package link

import (
	"context"
	"time"

	"kcmd.org/kcmd/dbus/client"
)

// A State is what is known of the caches. Nobody changes it.
type State struct {
	Client   *client.Client // nil if kcmd is not running
	Own      client.ObjectPath
	Features []string
	Caches   []Cache // the default one first
	Wanted   *client.SignInWanted
}

// A Cache is a cache, with what the KDC or libkrb5 said when its renewal failed.
type Cache struct {
	client.Cache
	Path    client.ObjectPath
	Message string
}

// redialEvery is the time between two attempts to reach a system bus that has ended.
const redialEvery = 2 * time.Second

// Follow calls changed with each new state, one at a time, until ctx ends. If the system
// bus ends, as when it is restarted, Follow waits for the next one.
func Follow(ctx context.Context, changed func(State)) error {
	for {
		had := reachable(ctx)
		err := followBuses(ctx, changed)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !had {
			return err // the session bus has ended, or there was no bus
		}
		changed(State{})
		for !reachable(ctx) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(redialEvery):
			}
		}
	}
}

// reachable reports whether there is a system bus.
func reachable(ctx context.Context) bool {
	c, err := client.Dial(ctx, "system")
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// followBuses follows the buses until ctx or one of them ends.
func followBuses(ctx context.Context, changed func(State)) error {
	end := func() {}
	defer func() { end() }()
	for c, err := range client.Follow(ctx) {
		end()
		end = func() {}
		if err != nil {
			return err
		}
		changed(State{})
		if c == nil {
			continue
		}
		following, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer c.Close()
			// At its end client.Follow has another connection.
			_ = follow(following, c, changed)
		}()
		end = func() {
			stop()
			<-done
		}
	}
	return ctx.Err()
}
