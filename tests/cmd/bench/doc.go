// Marks measures kcmd side by side with what else keeps tickets: sssd_kcm,
// Heimdal's kcm, libkrb5's own caches, and as the limit an echo over the same
// kind of socket. tests/bench builds and starts it.
//
// Every peer is measured by the same calls of libkrb5, which a small C program
// makes (driver, compiled when it is needed), and those that are KCM servers also
// by frames. The peers take turns in short rounds, so that what else the machine
// does harms all alike.
//
// The files: options.go has the flags; peer.go and start.go who is measured;
// step.go and scene.go what, in which circumstances, by calls.go or frames.go;
// users.go, syncs.go, allocations.go, commands.go, scale.go and growth.go are the
// further parts. driver.go, server.go, processors.go and tickets.go are what they
// measure with; series.go and results.go keep what came out; report.go, marks.go,
// json.go and plot.go tell it.
//
// It knows kcmd from outside, but for the store's packages, with which it fills
// large databases quickly.
package main
