package main

import (
	"errors"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/dbus/client"
)

func newDestroy(o *options) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:               "destroy [CACHE|PRINCIPAL]...",
		Short:             "destroy caches, the default one if none is named",
		ValidArgsFunction: o.completeManyCaches(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return badCommandLine(cmd, errors.New("--all and a cache together are not allowed"))
			}
			return o.with(cmd.Context(), func(b *bus) error {
				destroyed, err := b.destroy(cmd, args, all)
				if err != nil {
					return err
				}
				return print(func(p *render.Page) {
					if o.json {
						p.JSON(render.Destroyed{Destroyed: destroyed})
					} else {
						p.Count(destroyed, "cache", "destroyed")
					}
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "destroy all caches of the user")
	return cmd
}

// destroy destroys caches. It first finds all of them, so that a wrong name destroys
// none.
func (b *bus) destroy(cmd *cobra.Command, args []string, all bool) (uint32, error) {
	ctx := cmd.Context()
	if all {
		n, err := b.DestroyAll(ctx, b.collection)
		return n, explain("destroy the caches", err)
	}
	var caches []chosen
	for i := range max(len(args), 1) {
		c, err := b.cache(ctx, args[i:min(i+1, len(args))], unique)
		if err != nil {
			return 0, err
		}
		caches = append(caches, c)
	}
	n := uint32(0)
	for _, c := range caches {
		err := b.Destroy(ctx, c.path)
		if errors.Is(err, client.ErrUnknownObject) {
			continue // named twice, or by another program
		}
		if err != nil {
			return n, explain("destroy "+c.what(), err)
		}
		n++
	}
	return n, nil
}

func newRemove(o *options) *cobra.Command {
	cache := ""
	cmd := &cobra.Command{
		Use:               "remove TICKET...",
		Short:             "remove tickets, each by its id or its server principal",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeTickets(&cache),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return o.withCache(ctx, named(cache), unique, func(b *bus, c chosen) error {
				var ids []string
				for _, arg := range args {
					t, err := b.ticket(ctx, c, arg)
					if err != nil {
						return err
					}
					ids = append(ids, t.ID)
				}
				removed, err := b.RemoveTickets(ctx, c.path, ids...)
				if err != nil {
					return explain("remove tickets of "+c.what(), err)
				}
				return print(func(p *render.Page) {
					if o.json {
						p.JSON(render.Removed{Removed: removed})
					} else {
						p.Count(removed, "ticket", "removed")
					}
				})
			})
		},
	}
	addCacheFlag(cmd, &cache)
	completeFlag(cmd, "cache", o.completeManyCaches())
	return cmd
}

// addCacheFlag adds the flag that names a cache.
func addCacheFlag(cmd *cobra.Command, cache *string) {
	cmd.Flags().StringVarP(cache, "cache", "c", "", "use this `CACHE`, or that of this principal, instead of the default one")
}

// named returns the value of the flag as an argument.
func named(cache string) []string {
	if cache == "" {
		return nil
	}
	return []string{cache}
}
