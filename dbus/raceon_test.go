//go:build race

package dbus

// raceFactor is how many times as much memory the race detector takes.
const raceFactor = 3
