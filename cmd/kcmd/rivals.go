package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/safetext"
)

// rivals are units of other programs for the default socket.
var rivals = []string{"sssd-kcm.socket", "sssd-kcm.service", "heimdal-kcm.service"}

// unitDirectory is the directory for the links that systemctl enable makes.
const unitDirectory = "/etc/systemd/system"

// warnRivals logs which other units are enabled for the default socket, if that is
// one of ours: after the next boot, another unit could serve it.
func warnRivals(sockets []*socket, log *slog.Logger) {
	if !slices.ContainsFunc(sockets, func(s *socket) bool { return s.path() == systemSocket }) {
		return
	}
	for _, unit := range enabled(unitDirectory, rivals) {
		log.Warn("another KCM server is enabled for the same socket, which only one can serve; to keep kcmd, run: systemctl disable --now "+unit,
			"unit", unit, "socket", systemSocket)
	}
}

// enabled returns the units that systemd starts at boot.
func enabled(directory string, units []string) []string {
	var found []string
	for _, unit := range units {
		if links, err := filepath.Glob(filepath.Join(directory, "*.wants", unit)); err == nil && len(links) > 0 {
			found = append(found, unit)
		}
	}
	return found
}

// serverName names the process that listens at a socket, "" if it is unknown.
func serverName(path string) string {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return listenerName(conn.(*net.UnixConn))
}

// listenerName names the process that listens at the other end of a connection, ""
// if it is unknown.
func listenerName(conn *net.UnixConn) string {
	f, err := conn.File()
	if err != nil {
		return ""
	}
	defer f.Close()
	peer, err := unix.GetsockoptUcred(int(f.Fd()), unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || peer.Pid == 0 {
		return ""
	}
	if peer.Pid == 1 {
		return "systemd, for a socket unit (see systemctl list-sockets)"
	}
	name := "a process"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", peer.Pid)); err == nil {
		name = safetext.Escape(strings.TrimSpace(string(comm)))
	}
	return fmt.Sprintf("%s (pid %d)", name, peer.Pid)
}
