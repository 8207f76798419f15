package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// systemSocket is where libkrb5 finds a credential cache manager by default.
const systemSocket = "/run/.heim_org.h5l.kcm-socket"

// systemPatience is how long a manager of the machine may take to answer.
const systemPatience = 2 * time.Second

// stepsBack reports whether a daemon of the session has nothing to do, because
// one of the machine serves the user already. Somebody wants it all the same where
// an option names its socket, or a client waits at the one from systemd. Without
// such a client a bus started it, for a program that would see a second, empty
// collection.
func stepsBack(ctx context.Context, c *config, sockets []*socket, system string) bool {
	return c.session && !c.socketAsked && !awaited(sockets) && serves(ctx, system)
}

// serves reports whether a credential cache manager answers at the socket.
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

// awaited reports whether a client waits at one of the sockets.
func awaited(sockets []*socket) bool {
	for _, s := range sockets {
		if s.awaited() {
			return true
		}
	}
	return false
}

// stepBack ends a daemon of the session that has nothing to do. Callers on the
// bus that waits for it get an error.
func stepBack(ctx context.Context, c *config, sockets []*socket, log *slog.Logger) error {
	const reason = "a daemon of the machine serves this user already; to run one for the session as well, give --socket"
	if startedByBus() {
		// To the bus, status 0 means that the daemon goes on in another process.
		return errors.New(reason)
	}
	log.Info(reason, "socket", systemSocket, "server", serverName(systemSocket))
	if len(sockets) > 0 {
		// systemd takes an end before this for a failure. The sockets are left
		// alone: a client that comes now has the daemon started again, to serve.
		notify(log, sd.SdNotifyReady, "STATUS=Ending: a daemon of the machine serves this user")
		refuse(ctx, c, nil, log)
	}
	return nil
}

// startedByBus reports whether a message bus started this process, without
// systemd.
func startedByBus() bool { return os.Getenv("DBUS_STARTER_ADDRESS") != "" }

// awaited reports whether a connection waits to be accepted.
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
