// Command kcmd is the daemon: it reads its options, takes its sockets from
// systemd or makes its own, wires the store to the KCM server and to D-Bus, and
// starts and stops them in order.
//
// It may import every other package of kcmd's, and none imports it. What a
// request means is not known here.
//
// Files: command.go is the command line, settings.go the table of what can be
// set, config.go reads it from files, variables and flags, daemon.go is the
// order of things, listen.go makes sockets and lock.go keeps two daemons apart
// in doing so, store.go opens the store, key.go reads its key and rekey.go gives
// it another one, bus.go and notify.go speak to D-Bus and to systemd, log.go,
// harden.go and version.go do what they say. The commands that look at a store
// have inspect.go in common: check.go verifies one, dump.go prints one, for people
// in dump_text.go.
package main
