package show

import (
	"time"

	"kcmd.org/kcmd/dbus/client"
)

// A World is what is known.
type World struct {
	Now      time.Time
	Running  bool     // whether kcmd is on a bus
	Caches   []Cache  // the default one first
	Wanted   []Wanted // sign-ins that programs want, the oldest first
	Failed   []Failed // what the user asked for in vain
	Settings Settings
}

// A Cache is a cache with its path, and why its last renewal failed.
type Cache struct {
	client.Cache
	Path    client.ObjectPath
	Message string
}

// A Wanted is a sign-in that a program wants.
type Wanted struct {
	Program string // its name, "" if it is unknown
	PID     uint32
	Server  string
}

// A Failed is an action of the user that failed.
type Failed struct {
	Action Action
	Title  string
	Reason string
}

// Settings are the choices of the user.
type Settings struct {
	Warnings []time.Duration // before the end of a ticket that does not renew itself
	Password time.Duration   // before the end of a password
}

// Defaults are the settings of a user without choices.
func Defaults() Settings {
	return Settings{Warnings: []time.Duration{15 * time.Minute, 5 * time.Minute}, Password: 7 * 24 * time.Hour}
}

// A Verb is something that the user can do.
type Verb string

// What a user can do.
const (
	MakeDefault    Verb = "make-default"
	Renew          Verb = "renew"
	SignIn         Verb = "sign-in"
	ChangePassword Verb = "change-password"
	Copy           Verb = "copy"
	Details        Verb = "details"
	Destroy        Verb = "destroy"
	Quit           Verb = "quit"
)

// An Action is a verb, with the cache and the principal that it is for.
type Action struct {
	Verb      Verb
	Cache     client.ObjectPath
	Principal string
}

// now returns the time of the KDC of a cache.
func (w *World) now(c *Cache) time.Time {
	return w.Now.Add(time.Duration(c.KdcOffset) * time.Second)
}

// Local returns a time of the KDC of a cache by the local clock, the zero time for none.
func Local(c *client.Cache, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-time.Duration(c.KdcOffset) * time.Second)
}
