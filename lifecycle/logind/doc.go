// Package logind asks systemd-logind which users are logged in, on the system bus.
//
// It imports nothing of ours. Its file is logind.go.
package logind
