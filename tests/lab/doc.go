// Package lab sets up the real parts that kcmd lives among, thrown away after
// use: a Kerberos realm with a KDC on loopback, a message bus, and the daemon
// itself, all under one temporary directory.
//
// The whole-program tests, the story of tests/try and the soak share it. It knows
// the daemon only from outside, as a program with flags, a socket and signals: of
// this module it imports nothing.
//
// Nothing outlives a lab: every process is started so that the kernel ends it
// with this program, and Close, which CloseOnSignal also calls on an interrupt,
// ends them in order and removes the directory.
package lab
