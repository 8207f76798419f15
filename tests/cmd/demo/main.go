// Demo shows kcmd at work: it starts a realm, a bus and kcmd in a temporary
// directory, and runs the commands that a user would type, each with a line of
// explanation and its output. tests/try builds and starts it.
//
// It imports tests/lab. Read story.go first, then stage.go, shell.go and main.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

func main() {
	programs := flag.String("programs", "", "the `directory` with kcmd and kcmctl, to be removed in the end")
	shell := flag.Bool("shell", false, "end in a shell")
	flag.Parse()
	if err := run(*programs, *shell); err != nil {
		fmt.Fprintf(os.Stderr, "\ntests/try: %v\n", err)
		os.Exit(1)
	}
}

func run(programs string, shell bool) error {
	ignoreInterrupts := lab.CloseOnSignal()
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	l.OnClose(func() { os.RemoveAll(programs) })
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); shell && err != nil {
		return errors.New("--shell needs a terminal")
	}
	if err := lab.UseSystemPath(); err != nil {
		return err
	}
	if err := os.Setenv("PATH", programs+":"+os.Getenv("PATH")); err != nil {
		return err
	}

	fmt.Println("Setting up a realm with a KDC, a message bus and kcmd in " + l.Dir + ".")
	s, err := setUp(l, filepath.Join(programs, "kcmd"))
	if err != nil {
		return err
	}
	if err := s.tell(); err != nil {
		return err
	}
	if !shell {
		return nil
	}
	ignoreInterrupts()
	return s.shell()
}
