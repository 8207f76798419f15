package main

import (
	"github.com/spf13/cobra"
)

func newVerify(o *options) *cobra.Command {
	service, lax := "", false
	cmd := &cobra.Command{
		Use:   "verify [CACHE|PRINCIPAL]",
		Short: "verify that the TGT of a cache is of this host's KDC",
		Long: `kcmctl verify has kcmd get a service ticket for this host with the TGT, and decrypt
it with the key of the host. A TGT of a false KDC does not pass.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeCaches(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return o.withCache(ctx, args, first, func(b *bus, c chosen) error {
				progress := startProgress("verify " + c.what())
				err := b.Verify(ctx, c.path, service, !lax)
				progress.end()
				if err != nil {
					return explain("verify "+c.what(), err)
				}
				return b.printCache(ctx, o, c, "is verified")
			})
		},
	}
	cmd.Flags().StringVarP(&service, "service", "S", "", "use the key of this `SERVICE` with its realm; default: the first in the keytab that begins with host/")
	cmd.Flags().BoolVar(&lax, "allow-no-keytab", false, "let a host without a keytab verify every TGT")
	return cmd
}
