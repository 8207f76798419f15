package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/secret"
)

func newPasswd(o *options) *cobra.Command {
	fd := -1
	cmd := &cobra.Command{
		Use:   "passwd [PRINCIPAL]",
		Short: "change a Kerberos password",
		Long: `kcmctl passwd changes the password of a principal, as kpasswd does, also one that
has expired. It asks for the passwords on the terminal, or reads two lines from a
file descriptor: the old one and the new one. Where kcmd takes no passwords (acquire
in kcmd(8)) it runs kpasswd.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := passwordChange{fd: fd}
			if len(args) > 0 {
				p.principal = args[0]
			}
			return o.with(cmd.Context(), func(b *bus) error {
				if err := p.change(cmd.Context(), b); err != nil {
					return err
				}
				return print(func(page *render.Page) {
					if o.json {
						page.JSON(map[string]string{"changed": p.principal})
					} else {
						page.Password(p.principal)
					}
				})
			})
		},
	}
	cmd.Flags().IntVar(&fd, "password-fd", -1, "read both passwords, one line each, from this file descriptor `N`")
	return cmd
}

// A passwordChange is the command line of "passwd".
type passwordChange struct {
	principal string
	fd        int
}

// change has the password changed by kcmd or kpasswd.
func (p *passwordChange) change(ctx context.Context, b *bus) error {
	if err := p.name(ctx, b); err != nil {
		return err
	}
	m, err := b.GetManager(ctx)
	if err != nil {
		return explain("ask kcmd what it can do", err)
	}
	if slices.Contains(m.Features, "change-password") {
		return p.byDaemon(ctx, b)
	}
	return p.byKpasswd(ctx, b)
}

// name finds the principal: that of the default cache, else the name of the user.
func (p *passwordChange) name(ctx context.Context, b *bus) error {
	if p.principal != "" {
		return nil
	}
	caches, err := b.caches(ctx)
	if err != nil {
		return err
	}
	if len(caches) > 0 && caches[0].IsDefault {
		p.principal = caches[0].ClientPrincipal
		return nil
	}
	u, err := user.Current()
	if err != nil {
		return fmt.Errorf("cannot find out who you are: %w; name the principal", err)
	}
	p.principal = u.Username
	return nil
}

// byDaemon has kcmd change the password.
func (p *passwordChange) byDaemon(ctx context.Context, b *bus) error {
	if err := secret.Harden(); err != nil {
		return err
	}
	old, next, err := p.read(ctx)
	defer clear(old)
	defer clear(next)
	if err != nil {
		return err
	}
	progress := startProgress("change the password of " + p.principal)
	err = b.ChangePassword(ctx, b.collection, p.principal, old, next)
	progress.end()
	return explain("change the password of "+p.principal, err)
}

// read reads the old and the new password.
func (p *passwordChange) read(ctx context.Context) (old, next []byte, err error) {
	if p.fd >= 0 {
		err := readPasswords(p.fd, &old, &next)
		return old, next, err
	}
	if old, err = promptPassword(ctx, "Password for "+p.principal+": "); err != nil {
		return old, nil, err
	}
	if next, err = promptPassword(ctx, "New password: "); err != nil {
		return old, next, err
	}
	again, err := promptPassword(ctx, "New password again: ")
	defer clear(again)
	if err == nil && !bytes.Equal(next, again) {
		err = failure{errors.New("the new passwords differ; nothing is changed"), exitFailed}
	}
	return old, next, err
}

// byKpasswd runs kpasswd, which asks for the passwords itself. It sees no cache: it would
// protect its request with the TGT of the default one, and fail if that has expired.
func (p *passwordChange) byKpasswd(ctx context.Context, b *bus) error {
	if b.uid != uint32(os.Getuid()) {
		return fail(exitFailed, "cannot change a password for another user: kcmd takes no passwords here; see acquire in kcmd(8)")
	}
	if p.fd < 0 && !isTerminal(os.Stdin) {
		return errNoTerminal
	}
	if p.fd >= 0 {
		return fail(exitUsage, "--password-fd is not allowed here: kcmd takes no passwords, and kpasswd reads them from a terminal only")
	}
	cmd := exec.CommandContext(ctx, "kpasswd", p.principal)
	cmd.Env = append(os.Environ(), "KRB5CCNAME=MEMORY:")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	err := cmd.Run()
	switch {
	case errors.As(err, new(*exec.ExitError)):
		return fail(exitKDC, "kpasswd has not changed the password")
	case err != nil:
		return fail(exitFailed, "cannot run kpasswd: %w; install it (krb5-user on Debian, krb5-workstation on Fedora)", err)
	}
	return nil
}
