package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/secret"
	"kcmd.org/kcmd/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "kcm-agent: %s\n", err)
		os.Exit(1)
	}
}

// flags are the command line.
type flags struct {
	signIn  bool
	version bool
	config  string
	icons   string
}

func run(ctx context.Context, args []string) error {
	f := flags{}
	set := pflag.NewFlagSet("kcm-agent", pflag.ContinueOnError)
	set.SortFlags = false
	set.BoolVar(&f.signIn, "sign-in", false, "ask for a password, in the agent that runs if there is one")
	set.StringVar(&f.config, "config", configPath(), "read the settings from this `FILE`")
	set.StringVar(&f.icons, "icons", "", "look for icons also in this `DIRECTORY`")
	set.BoolVar(&f.version, "version", false, "print the version")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("cannot read the command line: %q is not allowed; see kcm-agent --help", set.Arg(0))
	}
	if f.version {
		fmt.Println("kcm-agent " + version.Full())
		return nil
	}
	settings, err := readSettings(f.config, set.Changed("config"))
	if err != nil {
		return err
	}
	// It is small, and stays so.
	debug.SetGCPercent(20)
	if err := secret.Harden(); err != nil {
		return err
	}
	return serve(ctx, f, settings)
}
