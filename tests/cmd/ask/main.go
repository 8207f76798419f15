// Ask shows the dialogs of kcm-agent, for tests/desktop, and prints what the user has
// answered. It imports cmd/kcm-agent/prompt.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
)

func main() {
	dialog := flag.String("dialog", "", "the `name` of the dialog")
	warning := flag.String("warning", "", "what is wrong with the last answer")
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "usage: ask [--dialog NAME] [--warning TEXT] password|new|text|tell TITLE TEXT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	q := prompt.Question{Title: flag.Arg(1), Warning: *warning, Text: flag.Arg(2), Button: "Go"}
	if err := ask(ctx, *dialog, flag.Arg(0), q); err != nil {
		fmt.Println("error:", err)
	}
}

func ask(ctx context.Context, name, kind string, q prompt.Question) error {
	d, err := prompt.Find(ctx, name)
	if err != nil {
		return err
	}
	defer d.Close()
	var answer []byte
	switch kind {
	case "password":
		answer, err = d.Password(ctx, q)
	case "new":
		answer, err = d.NewPassword(ctx, q)
	case "text":
		var line string
		line, err = d.Text(ctx, q.Title, q.Text, "-offered")
		answer = []byte(line)
	default:
		d.Tell(ctx, q.Title, q.Text)
	}
	if err == nil {
		fmt.Printf("answer: %s.\n", answer)
	}
	return err
}
