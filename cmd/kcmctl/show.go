package main

import (
	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/dbus/client"
)

func newShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show [CACHE|PRINCIPAL]",
		Short: "show a cache and its tickets",
		Args:  cobra.MaximumNArgs(1), ValidArgsFunction: o.completeCaches(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return o.withCache(ctx, args, first, func(b *bus, c chosen) error {
				var tickets []client.Ticket
				for t, err := range b.Tickets(ctx, c.path, client.TicketQuery{}) {
					if err != nil {
						return explain("list the tickets of "+c.what(), err)
					}
					tickets = append(tickets, t)
				}
				return print(func(p *render.Page) {
					if o.json {
						p.JSON(render.NewCacheWithTickets(c.Cache, b.uid, tickets))
					} else {
						p.Cache(c.Cache, tickets)
					}
				})
			})
		},
	}
}
