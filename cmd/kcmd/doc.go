// Command kcmd is the daemon: it reads its options, takes its sockets from
// systemd or makes its own, wires the store to the KCM server and to D-Bus, and
// starts and stops them in order. Other commands inspect a database or change its
// key.
//
// It may import every other package of kcmd; no package imports it. What a
// request means is not known here.
//
// Files, in the order in which to read them:
//
//   - main.go, command.go: the program and its command line
//   - settings.go, sockets.go, config.go: the table of settings, the tables of
//     sockets, and how files, variables and flags are merged
//   - daemon.go, parts.go: the list of the daemon's parts, and how parts start
//     and end
//   - listen.go, lock.go, session.go: sockets, the lock that keeps two daemons
//     apart while they make one, and when a session needs no daemon
//   - store.go, key.go: opening the store, and reading its key
//   - bus.go, systemd.go: D-Bus, and reports to systemd
//   - log.go, harden.go, version.go: as they say
//   - inspect.go, check.go, dump.go: the commands that read a
//     database
//   - rekey.go: the command that changes its key
package main
