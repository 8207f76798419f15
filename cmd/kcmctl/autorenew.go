package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newAutoRenew(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "auto-renew on|off [CACHE|PRINCIPAL]",
		Short: "set whether kcmd renews the TGT of a cache by itself",
		Args:  cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completeCaches()(cmd, args[1:], word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			on := args[0] == "on"
			if !on && args[0] != "off" {
				return badCommandLine(cmd, fmt.Errorf("%q is not allowed; allowed: on, off", args[0]))
			}
			ctx := cmd.Context()
			return o.withCache(ctx, args[1:], first, func(b *bus, c chosen) error {
				if err := b.SetAutoRenew(ctx, c.path, on); err != nil {
					return explain("set how "+c.what()+" is renewed", err)
				}
				if on {
					return b.printCache(ctx, o, c, "is renewed by itself")
				}
				return b.printCache(ctx, o, c, "is not renewed by itself")
			})
		},
	}
}
