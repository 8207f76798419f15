package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/cmd/kcmctl/doctor"
	"kcmd.org/kcmd/cmd/kcmctl/render"
)

// answerTime is how long klist and a KCM server may take.
const answerTime = 10 * time.Second

func newDoctor(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "check whether programs keep their tickets in kcmd",
		Long: `kcmctl doctor checks whether programs that use libkrb5 keep their tickets in kcmd:
the name of the default cache, the socket and its server, logins, and other KCM
servers. It changes nothing, and prints the lines to write and the commands to run.
The exit status is 1 if programs do not use kcmd.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 4*answerTime)
			defer cancel()
			s := &doctor.System{Getenv: os.Getenv, Klist: klist, Listener: ask}
			if err := o.fill(cmd, s); err != nil {
				return err
			}
			findings := doctor.Examine(ctx, s)
			err := print(func(p *render.Page) {
				if o.json {
					p.JSON(findings)
				} else {
					p.Findings(findings)
				}
			})
			if err == nil && doctor.Broken(findings) {
				err = failure{errors.New(""), exitFailed}
			}
			return err
		},
	}
}

// fill adds what kcmd says, if it is on the bus.
func (o *options) fill(cmd *cobra.Command, s *doctor.System) error {
	b, err := connect(cmd.Context(), o)
	if err != nil {
		if exitStatus(err) == exitNotRunning {
			s.Session = o.session
			return nil
		}
		return err
	}
	defer b.Close()
	m, err := b.GetManager(cmd.Context())
	if err != nil {
		return explain("read the status", err)
	}
	s.Socket, s.Features, s.Session = m.SocketPath, m.Features, m.Mode == "session"
	if os.Getuid() != 0 {
		return nil // others need a password to see who has caches
	}
	users, err := b.users(cmd.Context())
	if err != nil {
		return err
	}
	s.Strays = make(map[uint32]int)
	for _, u := range users {
		if u.Name == "" {
			s.Strays[u.UID] = u.Caches
		}
	}
	return nil
}

// klist returns what klist prints about the default cache of programs without
// KRB5CCNAME.
func klist(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "klist")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "KRB5CCNAME=") })
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	out, _ := cmd.CombinedOutput() // without tickets it fails, and names the cache
	return string(out)
}

func ask(ctx context.Context, path string) (doctor.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return doctor.Ask(ctx, path)
}
