// Package lifecycle acts on caches because time passes: it destroys those that are
// of no more use, and announces when a TGT is about to expire and when it expires.
//
// It imports ccstore, ccache, clock and ratelog. What it announces reaches others, such as
// dbus, as events of the store.
//
// Files, in the order in which to read them: reaper.go, announcer.go.
package lifecycle
