package helper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/lifecycle/kdc"
)

// settled is for how long the routes must not change before they are reported: a network
// that comes up changes them several times.
const settled = 500 * time.Millisecond

// awaitRoutes waits until the routes of the machine are others than those known, or for
// kdc.Wait, and returns a hash of them. It returns at once if none are known.
func awaitRoutes(ctx context.Context, known string) (string, error) {
	end, _ := ctx.Deadline()
	end = end.Add(kdc.Wait - kdc.Timeout)
	events, err := listenToRoutes()
	if err != nil {
		return "", err
	}
	defer events.Close()
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer stop()
	for {
		now, err := routes()
		if err != nil || now != known && known == "" {
			return now, err
		}
		if now != known {
			quiet := time.Now().Add(settled)
			if changed, err := nextEvent(events, quiet); err != nil || !changed {
				return now, err
			}
			continue
		}
		if changed, err := nextEvent(events, end); err != nil || !changed {
			return now, err
		}
	}
}

// listenToRoutes returns a socket on which the kernel tells of routes that come and go,
// in all tables (rtnetlink(7)).
func listenToRoutes() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot listen to the routes: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot listen to the routes: %w", err)
	}
	return os.NewFile(uintptr(fd), "routes"), nil
}

// nextEvent waits for an event until a time, and reports whether one came. What it says
// does not matter, nor that others are lost (ENOBUFS): the routes are read anew.
func nextEvent(events *os.File, until time.Time) (bool, error) {
	if err := events.SetReadDeadline(until); err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	_, err := events.Read(buf)
	switch {
	case err == nil, errors.Is(err, unix.ENOBUFS):
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	}
	return false, err
}

// routes returns a hash of the routes that the kernel has. What it counts about a route,
// as how long it is valid, is no part of it.
func routes() (string, error) {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_UNSPEC)
	if err != nil {
		return "", fmt.Errorf("cannot read the routes: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return "", fmt.Errorf("cannot read the routes: %w", err)
	}
	h := sha256.New()
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWROUTE {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return "", fmt.Errorf("cannot read the routes: %w", err)
		}
		h.Write(m.Data[:unix.SizeofRtMsg])
		for _, a := range attrs {
			if a.Attr.Type != unix.RTA_CACHEINFO {
				fmt.Fprintf(h, "%d %x\n", a.Attr.Type, a.Value)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
