package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/cmd/kcmctl/transfer"
	"kcmd.org/kcmd/secret"
)

func newAdopt(o *options) *cobra.Command {
	k := &copying{options: o}
	k.Move, k.Destroy = true, true
	cmd := &cobra.Command{
		Use:   "adopt [SOURCE]",
		Short: "take the tickets of a login from a file to kcmd",
		Long: `kcmctl adopt takes the tickets that a login has left in a FILE cache, as sshd and
pam_krb5 do, into the collection of the user, and destroys the file. Without SOURCE it
takes that of KRB5CCNAME, and does nothing if that is no file. It prints a line with
the new KRB5CCNAME for a shell:

    eval "$(kcmctl adopt)"

Run by pam_exec as root it acts as PAM_USER and prints nothing.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return k.adopt(cmd, args) },
	}
	cmd.Flags().StringVar(&k.socket, "socket", "", "the socket of kcmd, a `PATH`; default: that of libkrb5")
	return cmd
}

// adopt does nothing where a login has left nothing in a file.
func (k *copying) adopt(cmd *cobra.Command, args []string) error {
	source := os.Getenv("KRB5CCNAME")
	if len(args) > 0 {
		source = args[0]
	}
	kind, _, found := strings.Cut(source, ":")
	if !strings.HasPrefix(source, "/") && (!found || kind != "FILE" && kind != "DIR") {
		if len(args) > 0 {
			return badCommandLine(cmd, fmt.Errorf("%q is not allowed; allowed: FILE:PATH, DIR:PATH", source))
		}
		return nil
	}
	pam := os.Getenv("PAM_TYPE")
	if pam != "" && os.Getuid() == 0 && k.user == "" {
		k.user = os.Getenv("PAM_USER")
	}
	if pam == "close_session" {
		return nil
	}
	uid, err := k.uid(cmd.Context())
	if err != nil {
		return err
	}
	results, err := k.take(cmd.Context(), uid, source)
	gone := exitStatus(err) == exitNotFound // as pam_exec has had it adopted before
	if err != nil && !gone {
		return err
	}
	if k.json {
		return print(func(p *render.Page) { p.JSON(append([]transfer.Result{}, results...)) })
	}
	for _, r := range results {
		if !r.Removed {
			return fail(exitFailed, "cannot take %s: %s", r.Source, cmp.Or(r.Error, r.Reason))
		}
	}
	if pam != "" {
		return nil
	}
	return print(func(p *render.Page) { p.Variable("KRB5CCNAME", collectionOf(results)) })
}

// take copies the tickets to kcmd and destroys the file.
func (k *copying) take(ctx context.Context, uid uint32, source string) ([]transfer.Result, error) {
	if err := secret.Harden(); err != nil {
		return nil, err
	}
	k.Now = time.Now()
	results, err := k.importAs(ctx, uid, []string{source})
	if err != nil && !errors.As(err, new(failure)) {
		err = fmt.Errorf("cannot take the tickets: %w", err)
	}
	return results, err
}

// collectionOf returns the name by which a login finds its tickets: that of the whole
// collection if they are in its default cache.
func collectionOf(results []transfer.Result) string {
	byDefault := func(r transfer.Result) bool { return r.Default }
	if len(results) == 0 || slices.ContainsFunc(results, byDefault) {
		return "KCM:"
	}
	return results[0].Target
}
