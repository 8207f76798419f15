package main

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/lifecycle/kdc/helper"
)

// helperName is the name of the command of the KDC helper, for the daemon and the
// units alone.
const helperName = "kdc-helper"

// newKDCHelper returns the command that has a KDC renew or issue one ticket. It reads a
// request from its standard input, see package kdc.
func newKDCHelper() *cobra.Command {
	return &cobra.Command{
		Use:    helperName,
		Short:  "have a KDC renew or issue a ticket, for the daemon",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := harden(); err != nil {
				return err
			}
			if err := helper.Confine(); err != nil {
				return err
			}
			// The end of the daemon's process group must not leave files behind.
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP)
			defer stop()
			if err := helper.Serve(ctx, os.Stdin, os.Stdout); err != nil {
				return fmt.Errorf("cannot serve a request to the KDC: %w", err)
			}
			return nil
		},
	}
}
