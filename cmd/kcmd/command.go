package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kcmd.org/kcmd/version"
)

// run runs the program. It returns nil when ctx is done, or the error that
// prevents the start or the work.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cmd := newCommand(stderr)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	// Not nil, for which cobra uses the arguments of the process.
	cmd.SetArgs(append([]string{}, args...))
	err := cmd.ExecuteContext(ctx)
	if exitStatus(err) == exitConfig {
		refuseUnread(ctx, slices.Contains(args, "--session"), newLogger(stderr, slog.LevelInfo))
	}
	return err
}

func newCommand(stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kcmd",
		Short: "Kerberos credential cache manager",
		Long: `kcmd keeps the Kerberos tickets of all users of a machine, or of one user with
--session. Programs use it as the credential cache "KCM:".

All options but --config, --session and --version can also be set in the
configuration file, where "_" replaces "-" (log_level = "debug"), and in the
environment (KCMD_LOG_LEVEL=debug). Flags take precedence over the environment,
and the environment over files.`,
		Args:              noArguments,
		SilenceErrors:     true, // main prints the error
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "kcmd", version.Full())
				return err
			}
			if err := harden(); err != nil {
				return err
			}
			activated := os.Getenv("LISTEN_FDS") != ""
			read := func() (*config, error) { return readConfigOf(cmd.Flags(), activated) }
			c, err := read()
			if err != nil {
				return failure{fmt.Errorf("cannot read the configuration: %w", err), exitConfig}
			}
			level := new(slog.LevelVar)
			level.Set(c.logLevel)
			d := &daemon{config: c, read: read, log: newLogger(stderr, level), level: level}
			ctx, aborted := untilAbort(cmd.Context(), stderr, abortPatience)
			if err := d.serve(ctx); err != nil || !aborted() {
				return err
			}
			return errAborted
		},
	}
	cmd.AddCommand(newCheck(), newDump(), newRekey(), newKDCHelper())
	setUsage(cmd, func(cmd *cobra.Command) string {
		var commands strings.Builder
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&commands, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
			}
		}
		return "kcmd [options]\n       kcmd COMMAND [options]\n\nCommands (see kcmd COMMAND --help):\n" + commands.String()
	})
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badCommandLine(cmd, "%w", flagError(err))
	})
	cmd.SetHelpCommand(newHelp())
	addFlags(cmd.Flags())
	cmd.InitDefaultHelpFlag()
	cmd.Flags().BoolP("version", "v", false, "version for kcmd")
	return cmd
}

// setUsage sets what a command prints of its usage: how it is called, and its options.
// Templates of cobra would link the methods of all types, 2 MiB of memory in the daemon.
func setUsage(cmd *cobra.Command, call func(*cobra.Command) string) {
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprintf(cmd.OutOrStderr(), "Usage: %s\nOptions:\n%s", call(cmd), cmd.LocalFlags().FlagUsages())
		return err
	})
}

// addFlags adds the flags that readConfig reads: for the settings with the keys, or
// for all settings.
func addFlags(flags *pflag.FlagSet, keys ...string) {
	flags.SortFlags = false
	flags.Bool("session", false, "serve one user, with the socket, store and bus of the session")
	flags.String("config", "", "read this configuration `FILE` instead of /etc/kcmd/kcmd.toml")
	for _, s := range settings {
		if len(keys) == 0 || slices.Contains(keys, s.key) {
			flags.Var(&flagValue{word: s.word}, s.flag(), s.help())
		}
	}
}

// A flagValue holds the unchecked value of a flag. readConfig checks it like values
// from files and variables.
type flagValue struct{ value, word string }

func (v *flagValue) Set(s string) error { v.value = s; return nil }
func (v *flagValue) String() string     { return v.value }
func (v *flagValue) Type() string       { return v.word }

// help returns the meaning and the default.
func (s *setting) help() string {
	if s.value == "" {
		return s.meaning
	}
	return s.meaning + " (default " + s.value + ")"
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	allowed := "options only"
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if len(names) > 0 {
		allowed = "options, and the commands " + strings.Join(names, ", ")
	}
	return badCommandLine(cmd, "unexpected argument %s; allowed: %s", quoted(args[0]), allowed)
}

// flagError adds the allowed values to the error for a boolean flag.
func flagError(err error) error {
	if e := (*pflag.InvalidValueError)(nil); errors.As(err, &e) && e.GetFlag().Value.Type() == "bool" {
		return fmt.Errorf("--%s: %s is not allowed; allowed: true, false, or no value", e.GetFlag().Name, quoted(e.GetValue()))
	}
	return err
}

// newHelp returns the command that prints the help of another command.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "print the help of kcmd or of a command",
		Hidden: true,
		RunE: func(help *cobra.Command, args []string) error {
			cmd, rest, err := help.Root().Find(args)
			if err != nil || len(rest) > 0 || cmd == help {
				return failure{fmt.Errorf("no help on %s; allowed: kcmd help, kcmd help check, kcmd help dump, kcmd help rekey", quoted(strings.Join(args, " "))), exitUnchecked}
			}
			return cmd.Help()
		},
	}
}

// badCommandLine returns the error for a command line that cmd does not allow. For
// the daemon it has the exit status of a configuration error.
func badCommandLine(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf("cannot read the command line: "+format+"; see %s --help", append(args, cmd.CommandPath())...)
	if cmd.HasParent() {
		return err
	}
	return failure{err, exitConfig}
}
