package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/dbus/client"
)

func newUsers(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "users",
		Short: "list the users who have caches, for administrators",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), func(b *bus) error {
				users, err := b.users(cmd.Context())
				if err != nil {
					return err
				}
				return print(func(p *render.Page) {
					if o.json {
						p.JSON(users)
					} else {
						p.Users(users)
					}
				})
			})
		},
	}
}

// users returns all users, by uid.
func (b *bus) users(ctx context.Context) ([]render.User, error) {
	if err := b.seeAll(ctx); err != nil {
		return nil, explain("see the caches of other users", err)
	}
	objects, err := b.GetManagedObjects(ctx)
	if err != nil {
		return nil, explain("list the users", err)
	}
	caches := make(map[client.ObjectPath][]*client.Cache)
	for _, c := range objects.Caches {
		caches[c.Collection] = append(caches[c.Collection], c)
	}
	users := []render.User{}
	var uids []uint32
	for path, c := range objects.Collections {
		if len(c.Caches) > 0 {
			users = append(users, userOf(c, caches[path]))
			uids = append(uids, c.UID)
		}
	}
	names := accountNames(ctx, uids...)
	for i := range users {
		users[i].Name = names[users[i].UID]
	}
	slices.SortFunc(users, func(a, b render.User) int { return cmp.Compare(a.UID, b.UID) })
	return users, nil
}

// userOf describes the owner of a collection, without the name.
func userOf(c *client.Collection, caches []*client.Cache) render.User {
	u := render.User{
		UID: c.UID, Caches: len(c.Caches), States: make(map[string]int),
		Tickets: c.TicketCount, Bytes: c.BytesUsed, MaxBytes: c.MaxBytes, NextExpiry: render.Seconds(c.NextExpiry),
	}
	for _, cache := range caches {
		u.States[cache.State]++
	}
	return u
}
