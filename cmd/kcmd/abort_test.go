package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A daemon that does not end after SIGABRT is ended, though nobody reads its traces.
func TestAbortOfHanging(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHanging$", "-test.v")
	cmd.Env = append(os.Environ(), "KCMD_TEST_HANGING=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer killed.Stop()
	var said []byte
	for b := make([]byte, 512); !bytes.Contains(said, []byte("hanging\n")); {
		n, err := out.Read(b)
		if said = append(said, b[:n]...); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	if err := cmd.Process.Signal(unix.SIGABRT); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if e := (*exec.ExitError)(nil); !errors.As(err, &e) || e.ExitCode() != exitAborted {
		t.Errorf("%v; want exit status %d", err, exitAborted)
	}
}

// A stuckWriter takes nothing.
type stuckWriter struct{}

func (stuckWriter) Write([]byte) (int, error) { select {} }

func TestHanging(t *testing.T) {
	if os.Getenv("KCMD_TEST_HANGING") == "" {
		t.Skip("not a test: the process of TestAbortOfHanging")
	}
	ctx, aborted := untilAbort(t.Context(), stuckWriter{}, 100*time.Millisecond)
	_, _ = os.Stdout.WriteString("hanging\n")
	<-ctx.Done()
	if !aborted() {
		t.Error("the context is done without SIGABRT")
	}
	select {}
}

// An abort says why, in the last line of the log.
func TestAbortError(t *testing.T) {
	var b strings.Builder
	printError(&b, errAborted)
	if want := "kcmd: ended by SIGABRT, as from the watchdog of systemd\n"; b.String() != want || exitStatus(errAborted) != exitAborted {
		t.Errorf("%q, %d; want %q, %d", b.String(), exitStatus(errAborted), want, exitAborted)
	}
}
