package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// systemSocket is the default path of the KCM socket in libkrb5.
const systemSocket = "/run/.heim_org.h5l.kcm-socket"

// systemPatience limits the wait for an answer of the machine's KCM server.
const systemPatience = 2 * time.Second

// stepsBack reports whether a daemon of the session is not needed, because a daemon
// of the machine serves the user. It is needed if an option names its socket, or if
// a client waits at the socket from systemd. Without such a client, a call on the
// bus started it, and the caller would see a second, empty collection.
func stepsBack(ctx context.Context, c *config, sockets []*socket, system string) bool {
	return c.session && !c.socketAsked && !slices.ContainsFunc(sockets, (*socket).awaited) && serves(ctx, system)
}

// serves reports whether a KCM server answers at the socket.
func serves(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, systemPatience)
	defer cancel()
	c, err := client.Dial(ctx, path)
	if err != nil {
		return false
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	_, err = c.GetDefaultCache()
	return err == nil
}

// stepBack ends a daemon of the session that is not needed. Callers that wait on
// the bus get an error.
func stepBack(ctx context.Context, c *config, sockets []*socket, log *slog.Logger) error {
	const reason = "a daemon of the machine serves this user already; to run one for the session as well, give --socket"
	if startedByBus() {
		// To the bus, status 0 means that the daemon goes on in another process.
		return errors.New(reason)
	}
	log.Info(reason, "socket", systemSocket, "server", serverName(systemSocket))
	if len(sockets) > 0 {
		// For systemd, an end before READY=1 is a failure. The sockets are not
		// served: for the next client, systemd starts a daemon that serves.
		notify(log, sd.SdNotifyReady, "STATUS=Ending: a daemon of the machine serves this user")
		refuse(ctx, c, nil, log)
	}
	return nil
}

// startedByBus reports whether a message bus started this process without systemd.
func startedByBus() bool { return os.Getenv("DBUS_STARTER_ADDRESS") != "" }

// awaited reports whether a client waits to be accepted.
func (s *socket) awaited() bool {
	l, ok := s.Listener.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	waiting := 0
	err = raw.Control(func(fd uintptr) {
		waiting, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && waiting > 0
}
