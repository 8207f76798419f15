package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
)

// A change is a command that changes one cache and then says so.
type change struct {
	use, short string
	do         func(ctx context.Context, b *bus, c chosen) error
	verb       string // for errors
	done       string // for people: "renewed"
}

// changes are the commands that change a cache. With --json they print the cache as it
// is afterwards.
var changes = []change{
	{
		use: "switch CACHE|PRINCIPAL", short: "make a cache the default one",
		do:   func(ctx context.Context, b *bus, c chosen) error { return b.SwitchTo(ctx, c.path) },
		verb: "switch to", done: "is the default cache",
	},
	{
		use: "renew [CACHE|PRINCIPAL]", short: "have the KDC renew the TGT of a cache",
		do: func(ctx context.Context, b *bus, c chosen) error {
			return onlyError(b.Renew(ctx, c.path))
		},
		verb: "renew", done: "is renewed",
	},
	{
		use: "validate [CACHE|PRINCIPAL]", short: "have the KDC validate the postdated TGT of a cache",
		do: func(ctx context.Context, b *bus, c chosen) error {
			return onlyError(b.Validate(ctx, c.path))
		},
		verb: "validate", done: "is validated",
	},
}

func onlyError(_ time.Time, err error) error { return err }

func newChange(o *options, a change) *cobra.Command {
	args := cobra.MaximumNArgs(1)
	if a.verb == "switch to" {
		args = cobra.ExactArgs(1)
	}
	return &cobra.Command{
		Use: a.use, Short: a.short, Args: args, ValidArgsFunction: o.completeCaches(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return o.withCache(ctx, args, first, func(b *bus, c chosen) error {
				progress := startProgress(a.verb + " " + c.what())
				err := a.do(ctx, b, c)
				progress.end()
				if err != nil {
					return explain(a.verb+" "+c.what(), err)
				}
				return b.printCache(ctx, o, c, a.done)
			})
		},
	}
}

// printCache prints a cache as it is now.
func (b *bus) printCache(ctx context.Context, o *options, c chosen, done string) error {
	now, err := b.GetCacheProperties(ctx, c.path)
	if err != nil {
		return explain("read "+c.what(), err)
	}
	return print(func(p *render.Page) {
		if o.json {
			p.JSON(render.NewCache(now, b.uid))
		} else {
			p.Done(now, done)
		}
	})
}
