package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/safetext"
	"kcmd.org/kcmd/secret"
)

var errNoTerminal = failure{errors.New("there is no terminal to ask for the password; use --password-fd or --keytab"), exitUsage}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// readPasswords reads a line for each password from a file descriptor. The caller
// overwrites them.
func readPasswords(fd int, passwords ...*[]byte) error {
	f := os.NewFile(uintptr(fd), fmt.Sprintf("file descriptor %d", fd))
	if f == nil {
		return fail(exitUsage, "--password-fd %d is not allowed; allowed: an open file descriptor", fd)
	}
	defer f.Close()
	for _, password := range passwords {
		var err error
		if *password, err = readLine(f); err != nil {
			return err
		}
	}
	return nil
}

// readLine reads a line with a password.
func readLine(f *os.File) ([]byte, error) {
	line, err := secret.ReadLine(f)
	if errors.Is(err, secret.ErrTooLong) {
		return nil, failure{err, exitUsage}
	}
	return line, err
}

// promptPassword asks for a password on the terminal, which does not show it.
func promptPassword(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errNoTerminal
	}
	defer tty.Close()
	restore, err := echoOff(tty)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the password: %w", err)
	}
	defer restore()
	// An interrupt ends the read, so that the terminal is as it was.
	stop := context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(past) })
	defer stop()
	fmt.Fprint(tty, safetext.Escape(prompt))
	line, err := readLine(tty)
	fmt.Fprintln(tty)
	if ctx.Err() != nil {
		clear(line)
		return nil, ctx.Err()
	}
	return line, err
}

// echoOff makes the terminal not show what is typed, until restore.
func echoOff(tty *os.File) (restore func(), err error) {
	raw, err := tty.SyscallConn()
	if err != nil {
		return nil, err
	}
	var before *unix.Termios
	change := func(fd uintptr) {
		if before, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			return
		}
		silent := *before
		silent.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, &silent)
	}
	if e := raw.Control(change); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	return func() {
		_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetTermios(int(fd), unix.TCSETS, before) })
	}, nil
}
