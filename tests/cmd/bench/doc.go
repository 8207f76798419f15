// Bench measures kcmd beside other credential caches: sssd_kcm and types of
// libkrb5. A server of recorded answers is the lower bound.
// tests/bench builds and starts it.
//
// A small C program, driver, makes the same calls of libkrb5 for every peer. The
// peers take turns in short rounds, so that the load of the machine affects all of
// them alike.
//
// Read options.go (what is measured), peer.go (whom), driver.go, canned.go and result.go
// first; then main.go and its parts measure.go, syncs.go, users.go and fairness.go; then
// report.go, marks.go and tables.go.
//
// It imports tests/lab, and to compute sizes and store for other users
// ccstore/ccache and kcmserver/kcm.
package main
