package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/safetext"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:])
	if err != nil && err.Error() != "" {
		fmt.Fprintf(os.Stderr, "kcmctl: %s\n", oneLine(err))
	}
	if err != nil {
		os.Exit(exitStatus(err))
	}
}

// oneLine returns the text of an error as one line that is safe for terminals.
func oneLine(err error) string {
	return safetext.Truncate(strings.ReplaceAll(err.Error(), "\n", "; "), 4096)
}
