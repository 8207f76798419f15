// Package lifecycle acts on caches as time passes: it destroys expired ones, has KDCs
// renew TGTs, and announces when a TGT becomes valid, is about to expire, and expires. It
// destroys the caches of users who log out.
//
// It imports budget, ccstore, ccache, clock, lifecycle/kdc and ratelog. Other packages,
// such as dbus, get its notices as events of the store.
//
// Files, in the order in which to read them: alarm.go (sleep until a deadline), reaper.go,
// announcer.go, desk.go (requests to KDCs), acquire.go (those for new tickets),
// renewer.go (when TGTs are renewed), active.go (for whom), keeper.go (caches from
// keytabs), network.go (when it comes back), logout.go.
package lifecycle
