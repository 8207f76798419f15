package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
)

func newList(o *options) *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the caches",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyWaybar(cmd, format); err != nil {
				return err
			}
			return list(cmd, o, format)
		},
	}
	addWaybar(cmd, &format)
	return cmd
}

// addWaybar gives a command the flag --format.
func addWaybar(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "", "print in this `FORMAT`: waybar, for a custom module of that panel")
	completeFlag(cmd, "format", cobra.FixedCompletions([]string{"waybar"}, cobra.ShellCompDirectiveNoFileComp))
}

// onlyWaybar refuses other formats.
func onlyWaybar(cmd *cobra.Command, format string) error {
	if format != "" && format != "waybar" {
		return badCommandLine(cmd, fmt.Errorf("--format %q is not allowed; allowed: waybar", format))
	}
	return exclusive(cmd, "format", "json")
}

func list(cmd *cobra.Command, o *options, format string) error {
	return o.with(cmd.Context(), func(b *bus) error {
		caches, err := b.caches(cmd.Context())
		if err != nil {
			return err
		}
		return print(func(p *render.Page) {
			switch {
			case format != "":
				p.Waybar(caches)
				return
			case !o.json:
				p.Caches(caches)
				return
			}
			forms := []render.Cache{}
			for _, c := range caches {
				forms = append(forms, render.NewCache(c, b.uid))
			}
			p.JSON(forms)
		})
	})
}
