package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/safetext"
)

// completionTime is how long a shell waits for kcmd.
const completionTime = 2 * time.Second

// A completer returns what can follow on a command line, each with a description after a
// tab.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// completeFrom returns a completer that asks kcmd. A failure is no suggestion.
func (o *options) completeFrom(suggest func(ctx context.Context, b *bus, args []string) []string) completer {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		// Not the command's context, which completion does not have.
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		var list []string
		_ = o.with(ctx, func(b *bus) error {
			for _, s := range suggest(ctx, b, args) {
				if strings.HasPrefix(s, begun) && isPlain(s) {
					list = append(list, s)
				}
			}
			return nil
		})
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// isPlain reports whether a shell can show a suggestion as it is: a client of kcmd may
// have chosen a part of it.
func isPlain(suggestion string) bool {
	word, description, _ := strings.Cut(suggestion, "\t")
	return word == safetext.Escape(word) && description == safetext.Escape(description)
}

// completeCaches completes one cache, by its name or its principal.
func (o *options) completeCaches() completer {
	return o.completeFrom(func(ctx context.Context, b *bus, args []string) []string {
		if len(args) > 0 {
			return nil
		}
		return b.cacheWords(ctx)
	})
}

// completeManyCaches completes any number of caches.
func (o *options) completeManyCaches() completer {
	return o.completeFrom(func(ctx context.Context, b *bus, _ []string) []string { return b.cacheWords(ctx) })
}

// cacheWords are the names and the principals of the caches.
func (b *bus) cacheWords(ctx context.Context) []string {
	caches, err := b.caches(ctx)
	if err != nil {
		return nil
	}
	var names, principals []string
	seen := make(map[string]bool)
	for _, c := range caches {
		state := words.State(c.State)
		names = append(names, c.Name+"\t"+strings.TrimSpace(c.ClientPrincipal+" "+state))
		if p := c.ClientPrincipal; p != "" && !seen[p] {
			seen[p] = true
			principals = append(principals, p+"\t"+c.Name+" "+state)
		}
	}
	return append(names, principals...)
}

// completeTickets completes the tickets of the cache that --cache names.
func (o *options) completeTickets(cache *string) completer {
	return o.completeFrom(func(ctx context.Context, b *bus, _ []string) []string {
		c, err := b.cache(ctx, named(*cache), first)
		if err != nil {
			return nil
		}
		var names []string
		for t, err := range b.Tickets(ctx, c.path, client.TicketQuery{}) {
			if err != nil {
				return names
			}
			names = append(names, t.Server+"\t"+words.State(t.State))
		}
		return names
	})
}

// completeUsers completes the users who have caches, for root.
func (o *options) completeUsers() completer {
	return o.completeFrom(func(ctx context.Context, b *bus, _ []string) []string {
		users, err := b.users(ctx)
		if err != nil {
			return nil
		}
		var names []string
		for _, u := range users {
			if u.Name != "" {
				names = append(names, u.Name)
			}
		}
		return names
	})
}

// completeFlag gives a flag a completer.
func completeFlag(cmd *cobra.Command, name string, c completer) {
	if err := cmd.RegisterFlagCompletionFunc(name, c); err != nil {
		panic(err) // there is no such flag
	}
}
