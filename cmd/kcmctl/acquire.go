package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/secret"
)

// maxKeytab is the most that kcmd reads of a keytab.
const maxKeytab = 64 << 10

// An acquisition is the command line of "acquire".
type acquisition struct {
	client.AcquireOptions
	principal   string
	keytab      string
	passwordFD  int
	forwardable bool
}

func newAcquire(o *options) *cobra.Command {
	a := new(acquisition)
	cmd := &cobra.Command{
		Use:   "acquire [PRINCIPAL]",
		Short: "get a TGT with a password or a keytab",
		Long: `kcmctl acquire gets a TGT, as kinit does. It asks for the password on the terminal,
or reads it from a file descriptor. Where kcmd takes no passwords (acquire in
kcmd(8)) it runs kinit.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := exclusive(cmd, "keytab", "password-fd"); err != nil {
				return err
			}
			if cmd.Flags().Changed("forwardable") {
				a.Forwardable = &a.forwardable
			}
			if len(args) > 0 {
				a.principal = args[0]
			}
			return o.with(cmd.Context(), func(b *bus) error {
				c, err := a.acquire(cmd.Context(), b)
				if err != nil {
					return err
				}
				return b.printCache(cmd.Context(), o, c, "has tickets")
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&a.keytab, "keytab", "k", "", "use the keys in this `FILE` instead of a password")
	flags.IntVar(&a.passwordFD, "password-fd", -1, "read the password, one line, from this file descriptor `N`")
	flags.StringVarP(&a.Cache, "cache", "c", "", "put the tickets into this `CACHE`; default: that of the principal, or a new one")
	durationFlag(flags, &a.Lifetime, "lifetime", "l", "lifetime of the ticket, a `DURATION` (8h)")
	durationFlag(flags, &a.RenewableFor, "renewable-for", "r", "how long it can be renewed, a `DURATION` (168h)")
	durationFlag(flags, &a.StartIn, "start-in", "s", "get a ticket that becomes valid after this `DURATION`")
	flags.BoolVarP(&a.forwardable, "forwardable", "f", false, "get a ticket that can be forwarded")
	flags.StringVarP(&a.Service, "service", "S", "", "get a ticket for this `SERVICE` instead of a TGT")
	completeFlag(cmd, "cache", o.completeManyCaches())
	return cmd
}

// acquire gets tickets by kcmd or kinit, and returns their cache.
func (a *acquisition) acquire(ctx context.Context, b *bus) (chosen, error) {
	if a.principal == "" && a.keytab == "" {
		u, err := user.Current()
		if err != nil {
			return chosen{}, fmt.Errorf("cannot find out who you are: %w; name the principal", err)
		}
		a.principal = u.Username
	}
	m, err := b.GetManager(ctx)
	if err != nil {
		return chosen{}, explain("ask kcmd what it can do", err)
	}
	if slices.Contains(m.Features, "acquire") {
		return a.byDaemon(ctx, b)
	}
	return a.byKinit(ctx, b)
}

// byDaemon has kcmd get the tickets.
func (a *acquisition) byDaemon(ctx context.Context, b *bus) (chosen, error) {
	if err := secret.Harden(); err != nil {
		return chosen{}, err
	}
	call := b.AcquireWithPassword
	var secret []byte
	var err error
	if a.keytab != "" {
		call = b.AcquireWithKeytab
		secret, err = readKeytab(a.keytab)
	} else {
		secret, err = a.password(ctx)
	}
	defer clear(secret)
	if err != nil {
		return chosen{}, err
	}
	progress := startProgress("get a ticket for " + cmp.Or(a.principal, "the keytab"))
	path, err := call(ctx, b.collection, a.principal, secret, a.AcquireOptions)
	progress.end()
	if err != nil {
		return chosen{}, explain("get a ticket for "+cmp.Or(a.principal, a.keytab), err)
	}
	c, err := b.GetCacheProperties(ctx, path)
	return chosen{c, path}, explain("read the cache", err)
}

func (a *acquisition) password(ctx context.Context) (password []byte, err error) {
	if a.passwordFD >= 0 {
		err := readPasswords(a.passwordFD, &password)
		return password, err
	}
	return promptPassword(ctx, "Password for "+a.principal+": ")
}

// readKeytab reads a keytab. kcmd takes none from a disk.
func readKeytab(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the keytab: %w", err)
	}
	defer f.Close()
	secret, err := io.ReadAll(io.LimitReader(f, maxKeytab+1))
	if err == nil && len(secret) > maxKeytab {
		err = fmt.Errorf("%s has more than %d bytes", name, maxKeytab)
	}
	if err != nil {
		return secret, fmt.Errorf("cannot read the keytab: %w", err)
	}
	return secret, nil
}

// byKinit runs kinit, which asks for the password itself.
func (a *acquisition) byKinit(ctx context.Context, b *bus) (chosen, error) {
	if b.uid != uint32(os.Getuid()) {
		return chosen{}, fail(exitFailed, "cannot get a ticket for another user: kcmd takes no passwords here; see acquire in kcmd(8)")
	}
	cmd := exec.CommandContext(ctx, "kinit", a.kinitArguments()...)
	cmd.Env = append(os.Environ(), "KRB5CCNAME=KCM:")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	switch {
	case a.passwordFD >= 0:
		cmd.Stdin = os.NewFile(uintptr(a.passwordFD), "the password")
	case a.keytab == "" && !isTerminal(os.Stdin):
		return chosen{}, errNoTerminal
	}
	before := time.Now().Truncate(time.Second)
	if err := cmd.Run(); err != nil {
		if errors.As(err, new(*exec.ExitError)) {
			return chosen{}, fail(exitKDC, "kinit has got no ticket")
		}
		return chosen{}, fail(exitFailed, "cannot run kinit: %w; install it (krb5-user on Debian, krb5-workstation on Fedora)", err)
	}
	c, err := b.cache(ctx, a.kinitCache(), first)
	if err != nil || c.LastChanged.Before(before) {
		return chosen{}, fail(exitFailed, "kinit has put the ticket elsewhere; find out why with kcmctl doctor")
	}
	return c, nil
}

// kinitCache is the argument for the cache that kinit has filled.
func (a *acquisition) kinitCache() []string {
	return named(cmp.Or(a.Cache, a.principal))
}

func (a *acquisition) kinitArguments() []string {
	var args []string
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	add("-c", a.Cache)
	add("-S", a.Service)
	for flag, d := range map[string]time.Duration{"-l": a.Lifetime, "-r": a.RenewableFor, "-s": a.StartIn} {
		if d > 0 {
			add(flag, fmt.Sprintf("%ds", d/time.Second))
		}
	}
	if a.Forwardable != nil {
		args = append(args, map[bool]string{true: "-f", false: "-F"}[*a.Forwardable])
	}
	if a.keytab != "" {
		args = append(args, "-k", "-t", a.keytab)
	}
	if a.principal != "" {
		args = append(args, "--", strings.TrimSpace(a.principal))
	}
	return args
}
