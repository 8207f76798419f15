// Command kcmd is the daemon. It reads its options, takes its sockets from systemd
// or makes them, connects the store to the KCM server and to D-Bus, and starts and
// ends these parts in order. Other commands read a database or change its key.
//
// It may import every other package of kcmd; no package imports it. It does not
// interpret requests.
//
// Files, in the order in which to read them:
//
//   - main.go, command.go, abort.go: the program, its command line, and its end by the watchdog
//   - settings.go, sockets.go, keep.go, config.go: the settings, the [[socket]] and
//     [[keep]] tables, and how
//     files, variables and flags are merged
//   - daemon.go, parts.go: the parts of the daemon, and how parts start and end
//   - reload.go, idle.go: settings that change while the daemon runs, and the end of an idle one
//   - limits.go, threads.go: the budgets, from the settings and the limits of the service, and
//     threads for several users
//   - listen.go, lock.go, rivals.go: sockets, the lock for making one, and other KCM
//     servers at the same path
//   - session.go, refuse.go: when a daemon of the session is not needed, and errors for
//     clients of a daemon that cannot start
//   - store.go, keyring.go, key.go: opening the store, and reading its key
//   - kdc.go, logout.go: the way to KDCs, the renewal of tickets, and logout
//   - bus.go, statistics.go, systemd.go, watchdog.go: D-Bus, the figures that it shows, and reports
//     to systemd
//   - clock.go, movedclock.go: the clock of the machine, and one that tests move
//   - log.go, journal.go, harden.go: log lines, protection of the memory
//   - inspect.go, check.go, dump.go: the commands that read a database
//   - rekey.go: the command that changes the key of a database
//   - kdchelper.go: the command that makes one request to a KDC
package main
