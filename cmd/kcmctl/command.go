package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/version"
)

// options are the flags that every command has.
type options struct {
	system  bool
	session bool
	user    string
	json    bool
}

// run runs the program.
func run(ctx context.Context, args []string) error {
	cmd := newCommand()
	cmd.SetArgs(append([]string{}, args...)) // not nil, for which cobra uses those of the process
	err := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil {
		return failure{errors.New(""), 128 + 2} // as a shell reports SIGINT
	}
	return err
}

func newCommand() *cobra.Command {
	o := new(options)
	cmd := &cobra.Command{
		Use:           "kcmctl",
		Short:         "show and change Kerberos credential caches",
		Long:          "kcmctl shows and changes the Kerberos credential caches that kcmd keeps.",
		Version:       version.Full(),
		SilenceErrors: true, // main prints the error
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badCommandLine(cmd, fmt.Errorf("there is no command %q", args[0]))
			}
			return list(cmd, o, "") // as loginctl and nmcli do
		},
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return exclusive(cmd, "system", "session") },
	}
	cmd.SetVersionTemplate("kcmctl {{.Version}}\n")
	cmd.SetFlagErrorFunc(badCommandLine)
	flags := cmd.PersistentFlags()
	flags.SortFlags = false
	flags.BoolVar(&o.system, "system", false, "use kcmd on the system bus")
	flags.BoolVar(&o.session, "session", false, "use kcmd on the session bus")
	flags.StringVar(&o.user, "uid", "", "use the caches of another `USER` (name or uid), for administrators")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	cmd.AddCommand(newList(o), newShow(o), newStatus(o), newUsers(o), newWatch(o))
	for _, c := range changes {
		cmd.AddCommand(newChange(o, c))
	}
	cmd.AddCommand(newDestroy(o), newRemove(o), newAutoRenew(o), newAcquire(o), newPasswd(o), newVerify(o), newWait(o), newDoctor(o))
	cmd.AddCommand(newImport(o), newExport(o), newAdopt(o))
	completeFlag(cmd, "uid", o.completeUsers())
	cmd.InitDefaultCompletionCmd()
	setBadArguments(cmd)
	return cmd
}

// setBadArguments makes the wrong arguments of each command an error of the command line.
func setBadArguments(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		setBadArguments(c)
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return badCommandLine(cmd, err)
			}
			return nil
		}
	}
}

// badCommandLine returns the error for a command line that cmd does not allow.
func badCommandLine(cmd *cobra.Command, err error) error {
	return fail(exitUsage, "cannot read the command line: %w; see %s --help", err, cmd.CommandPath())
}

// exclusive refuses two flags together.
func exclusive(cmd *cobra.Command, a, b string) error {
	if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
		return badCommandLine(cmd, fmt.Errorf("--%s and --%s together are not allowed", a, b))
	}
	return nil
}

// newPage returns the page that a command prints.
func newPage(w io.Writer) *render.Page {
	return &render.Page{W: w, Colour: hasColour(w), Now: time.Now()}
}

// stdout is not cobra's writer, which is not a file in its interface.
var stdout io.Writer = os.Stdout

// print prints a page, and returns the error of writing.
func print(write func(p *render.Page)) error {
	p := newPage(stdout)
	write(p)
	if err := p.Err(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}
