package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/dbus/client"
)

func newStatus(o *options) *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show kcmd, its limits, and how many caches there are",
		Long: `kcmctl status shows kcmd, its limits for the user, and the number of caches and
tickets: of the user, or for root of all users.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "" && format != "openmetrics" {
				return badCommandLine(cmd, fmt.Errorf("--format %q is not allowed; allowed: openmetrics", format))
			}
			if err := exclusive(cmd, "format", "json"); err != nil {
				return err
			}
			return o.with(cmd.Context(), func(b *bus) error {
				s, err := b.status(cmd, o)
				if err != nil {
					return err
				}
				return print(func(p *render.Page) {
					switch {
					case o.json:
						p.JSON(s)
					case format != "":
						p.Metrics(s)
					default:
						p.Status(s)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "print in this `FORMAT`: openmetrics, for Prometheus and node_exporter")
	completeFlag(cmd, "format", cobra.FixedCompletions([]string{"openmetrics"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (b *bus) status(cmd *cobra.Command, o *options) (*render.Status, error) {
	ctx := cmd.Context()
	m, err := b.GetManager(ctx)
	if err != nil {
		return nil, explain("read the status", err)
	}
	own, err := b.GetCollectionProperties(ctx, b.collection)
	if err != nil {
		return nil, explain("read the status", err)
	}
	s := render.NewStatus(m, b.name, own)
	var caches []*client.Cache
	if b.uid == 0 && o.user == "" && m.Mode == "system" {
		if s.Users, err = b.users(ctx); err != nil {
			return nil, err
		}
		objects, err := b.GetManagedObjects(ctx)
		if err != nil {
			return nil, explain("read the status", err)
		}
		for _, c := range objects.Caches {
			caches = append(caches, c)
		}
	} else {
		if caches, err = b.read(ctx, own.Caches); err != nil {
			return nil, err
		}
		s.Users = []render.User{userOf(own, caches)}
	}
	s.Count(caches)
	s.Daemon, err = b.daemon(ctx)
	return s, err
}

// daemon returns the figures of kcmd itself, nil if the caller may not see them.
func (b *bus) daemon(ctx context.Context) (*render.Daemon, error) {
	if b.options.user != "" {
		return nil, nil
	}
	s, err := b.NonInteractive().GetStatistics(ctx)
	switch {
	case err == nil:
		return render.NewDaemon(s), nil
	case errors.Is(err, client.ErrAccessDenied), errors.Is(err, client.ErrNotAuthorized), errors.Is(err, client.ErrUnknownMethod):
		return nil, nil // or an older kcmd
	}
	return nil, explain("read the figures of kcmd", err)
}
