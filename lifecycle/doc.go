// Package lifecycle acts on caches as time passes: it destroys expired ones, and
// announces when a TGT becomes valid, is about to expire, and expires.
//
// It imports ccstore, ccache, clock and ratelog. Other packages, such as dbus, get
// its notices as events of the store.
//
// Files, in the order in which to read them: reaper.go, announcer.go.
package lifecycle
