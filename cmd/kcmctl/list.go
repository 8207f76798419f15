package main

import (
	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/render"
)

func newList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the caches",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return list(cmd, o) },
	}
}

func list(cmd *cobra.Command, o *options) error {
	return o.with(cmd.Context(), func(b *bus) error {
		caches, err := b.caches(cmd.Context())
		if err != nil {
			return err
		}
		return print(func(p *render.Page) {
			if !o.json {
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
