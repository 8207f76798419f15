// Package lab sets up the environment of kcmd in a temporary directory: a Kerberos
// realm with a KDC on loopback, a message bus, disks, and the daemon itself.
//
// The whole-program tests and the programs in tests/cmd share it. It uses the daemon
// as a program with flags, a socket and signals, and imports nothing of this module.
//
// Nothing outlives a lab: every process is started so that the kernel ends it
// with this program, and Close, which CloseOnSignal also calls on an interrupt,
// ends them in order and removes the directory.
package lab
