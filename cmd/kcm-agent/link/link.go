// Package link follows the caches of the user, on the bus where kcmd is.
//
// It imports dbus/client. Its files are link.go, which follows the buses, and follow.go,
// which keeps the caches of one kcmd.
package link

import (
	"context"
	"errors"
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

// Follow calls changed with each new state, one at a time, until ctx ends or the session
// bus does. If the system bus ends, as when it is restarted, Follow looks on the session
// bus until there is another one.
func Follow(ctx context.Context, changed func(State)) error {
	for had := false; ; {
		now := dialSystem(ctx)
		had = had || now != nil
		following, stop := context.WithCancel(ctx)
		if had {
			go func() {
				defer stop()
				awaitChange(following, now)
			}()
		}
		err := followBuses(following, changed)
		switch {
		case following.Err() != nil: // the system bus came or went
		case now == nil && (!had || !errors.Is(err, client.ErrNotRunning)):
			stop()
			return err // the session bus has ended, or there was no bus
		default:
			changed(State{})
			select {
			case <-following.Done():
			case <-time.After(redialEvery):
			}
		}
		stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// dialSystem returns a connection to the system bus, nil if there is none.
func dialSystem(ctx context.Context) *client.Client {
	c, err := client.Dial(ctx, "system")
	if err != nil {
		return nil
	}
	return c
}

// awaitChange waits until the system bus that c is connected to ends, or with nil until
// there is one, and closes c. The end of ctx ends it.
func awaitChange(ctx context.Context, c *client.Client) {
	if c != nil {
		defer c.Close()
		select {
		case <-c.Done():
		case <-ctx.Done():
		}
		return
	}
	for c == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(redialEvery):
			c = dialSystem(ctx)
		}
	}
	c.Close()
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
