// Package lab sets up the environment of kcmd in a temporary directory: a Kerberos
// realm with a KDC on loopback, a message bus, disks, and the daemon itself.
//
// The whole-program tests and the programs in tests/cmd share it. It uses the daemon
// as a program with flags, a socket and signals, and imports nothing of this module.
//
// Read lab.go and process.go first, then realm.go, bus.go, daemon.go with build.go and
// server.go. testing.go, need.go and main.go connect a lab to tests. Few tests use the
// others: monitor.go and buswire.go (clients of the bus), dial.go (other users), disk.go
// and room.go (file systems, and namespace.go, which tells where they can be made),
// network.go (network namespaces), heimdal.go and others.go (programs that cannot be
// installed).
//
// Nothing outlives a lab: every process is started so that the kernel ends it
// with this program, and Close, which CloseOnSignal also calls on an interrupt,
// ends them in order and removes the directory.
package lab
