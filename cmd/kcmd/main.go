package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/safetext"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	// The first signal ends the daemon in order. It also restores the default
	// action, by which a second one ends it at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		printError(os.Stderr, err)
		os.Exit(exitStatus(err))
	}
}

// printError prints the error that ends the program.
func printError(w io.Writer, err error) {
	prefix := ""
	if isJournal(w) {
		prefix = errorPrefix
	}
	fmt.Fprintf(w, "%skcmd: %s\n", prefix, oneLine(err))
}

// oneLine returns the text of an error as one line of bounded length. Joined errors
// are separated by semicolons.
func oneLine(err error) string {
	const most = 4096
	text := safetext.Escape(strings.ReplaceAll(err.Error(), "\n", "; "))
	if len(text) > most {
		text = text[:most/2] + " ... " + text[len(text)-most/2:]
	}
	return text
}
