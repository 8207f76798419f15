//go:build !race

package dbus

// raceFactor is how many times as much memory the race detector takes: it is off.
const raceFactor = 1
