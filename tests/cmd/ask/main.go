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
	program := flag.String("dialog", "", "the `program` for dialogs")
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "usage: ask [--dialog PROGRAM] password|new|text|tell TITLE TEXT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if err := ask(ctx, *program, flag.Arg(0), flag.Arg(1), flag.Arg(2)); err != nil {
		fmt.Println("error:", err)
	}
}

func ask(ctx context.Context, program, kind, title, text string) error {
	d, err := prompt.Find(program)
	if err != nil {
		return err
	}
	var answer []byte
	switch kind {
	case "password":
		answer, err = d.Password(ctx, title, text)
	case "new":
		answer, err = d.NewPassword(ctx, title, text)
	case "text":
		var line string
		line, err = d.Text(ctx, title, text, "-offered")
		answer = []byte(line)
	default:
		d.Tell(ctx, title, text)
	}
	if err == nil {
		fmt.Printf("answer: %s.\n", answer)
	}
	return err
}
