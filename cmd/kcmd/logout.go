package main

import (
	"context"
	"slices"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/logind"
)

// newLogout returns the part that destroys the caches of users who log out. It leaves
// alone those that kcmd itself keeps filled.
func (d *daemon) newLogout() *lifecycle.Logout {
	o := lifecycle.LogoutOptions{
		Watch: func(ctx context.Context, changed func(map[uint32]bool)) error {
			return logind.Watch(ctx, d.systemBus(), changed)
		},
		Spared: func(owner ccstore.Owner, name string) bool {
			return slices.ContainsFunc(d.present.Load().keep, func(k keepConfig) bool { return k.owner == owner.UID && k.cache == name })
		},
		Logger: d.log,
	}
	if database, ok := strings.CutPrefix(d.config.store, sqliteStore); ok {
		o.File = database + "-logins"
	}
	return lifecycle.NewLogout(d.store, o)
}
