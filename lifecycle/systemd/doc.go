// Package systemd asks systemd on the bus about the units of kcmd.
//
// It imports nothing of ours. Its file is sockets.go.
package systemd
