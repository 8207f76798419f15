package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/cckeyring"
	"kcmd.org/kcmd/cmd/kcmctl/doctor"
	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/cmd/kcmctl/transfer"
	"kcmd.org/kcmd/secret"
)

// A copying is the command line of "import" or "export".
type copying struct {
	*options
	transfer.Options
	socket   string
	cache    string
	allUsers bool

	databases map[string]map[uint32]transfer.Collection // those of sssd_kcm, by their names
}

func newImport(o *options) *cobra.Command {
	k := &copying{options: o}
	cmd := &cobra.Command{
		Use:   "import SOURCE...",
		Short: "copy the caches of files, keyrings or another KCM server to kcmd",
		Long: `kcmctl import copies whole collections to kcmd. A SOURCE is FILE:PATH, DIR:PATH,
KEYRING:NAME as in KRB5CCNAME, or KCM:SOCKET for another KCM server. With
--all-users, root copies /tmp/krb5cc_* and the persistent keyrings to their owners'
collections; arguments are then directories to look in instead, or SSSD:PATH for the
database of sssd_kcm.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !k.allUsers {
				return badCommandLine(cmd, errors.New("it needs a SOURCE or --all-users"))
			}
			return k.run(cmd, func(ctx context.Context) ([]transfer.Result, error) {
				if k.allUsers {
					return k.importAll(ctx, args)
				}
				uid, err := k.uid(cmd.Context())
				if err != nil {
					return nil, err
				}
				return k.importAs(ctx, uid, args)
			})
		},
	}
	k.addFlags(cmd)
	cmd.Flags().BoolVar(&k.allUsers, "all-users", false, "take the caches of all users, for root")
	return cmd
}

func newExport(o *options) *cobra.Command {
	k := &copying{options: o}
	cmd := &cobra.Command{
		Use:   "export TARGET",
		Short: "copy the caches of kcmd to files, a keyring or another KCM server",
		Long: `kcmctl export copies the collection of the user in kcmd to another one: FILE:PATH for
one cache, DIR:PATH, KEYRING:NAME as in KRB5CCNAME, or KCM:SOCKET for another KCM
server.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.run(cmd, func(ctx context.Context) ([]transfer.Result, error) {
				uid, err := k.uid(cmd.Context())
				if err != nil {
					return nil, err
				}
				return k.exportAs(ctx, uid, args[0])
			})
		},
	}
	k.addFlags(cmd)
	return cmd
}

func (k *copying) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&k.DryRun, "dry-run", "n", false, "change nothing, only say what would be done")
	flags.BoolVar(&k.Move, "move", false, "remove from the source what the target has durably")
	flags.BoolVar(&k.Expired, "expired", false, "copy expired caches, too")
	flags.StringVarP(&k.cache, "cache", "c", "", "copy only this `CACHE`, or those of this principal")
	flags.StringVar(&k.socket, "socket", "", "the socket of kcmd, a `PATH`; default: that of libkrb5")
}

// run copies and prints the results.
func (k *copying) run(cmd *cobra.Command, do func(ctx context.Context) ([]transfer.Result, error)) error {
	if err := secret.Harden(); err != nil {
		return err
	}
	k.Now = time.Now()
	if k.cache != "" {
		k.Only = func(c *transfer.Cache) bool { return k.names(c) }
	}
	results, failed := do(cmd.Context())
	if failed == nil && k.cache != "" && len(results) == 0 {
		failed = fail(exitNotFound, "there is no cache of %s", k.cache)
	}
	if failed == nil || len(results) > 0 { // what was copied before a failure
		err := print(func(p *render.Page) {
			if k.json {
				p.JSON(append([]transfer.Result{}, results...))
			} else {
				p.Results(results, k.DryRun)
			}
		})
		if err != nil {
			return err
		}
	}
	switch {
	case failed != nil && !errors.As(failed, new(failure)):
		return fmt.Errorf("cannot %s the caches: %w", cmd.Name(), failed)
	case failed == nil && slices.ContainsFunc(results, func(r transfer.Result) bool { return !r.OK() }):
		return failure{errors.New(""), exitFailed} // the results say why
	}
	return failed
}

// names reports whether --cache means a cache.
func (k *copying) names(c *transfer.Cache) bool {
	if c.Name == k.cache || c.Title == k.cache || "KCM:"+c.Name == k.cache {
		return true
	}
	if c.Contents == nil {
		return false
	}
	principal := c.Principal.String()
	return principal == k.cache || strings.HasPrefix(principal, k.cache+"@")
}

// uid returns that of --uid or else of the caller.
func (k *copying) uid(ctx context.Context) (uint32, error) {
	if k.user == "" {
		return uint32(os.Geteuid()), nil
	}
	return lookUp(ctx, k.user)
}

// kcmd connects to kcmd as the effective user of the thread.
func (k *copying) kcmd(ctx context.Context, uid uint32) (transfer.Collection, error) {
	socket := k.socket
	if socket == "" {
		socket = (&doctor.System{Getenv: os.Getenv}).LibrarySocket()
	}
	c, err := transfer.Dial(ctx, socket, uid, "")
	if err != nil {
		return nil, failure{fmt.Errorf("%w; start kcmd with systemctl enable --now kcmd.socket, or name its socket with --socket", err), exitNotRunning}
	}
	return c, nil
}

// importAs copies the sources as a user.
func (k *copying) importAs(ctx context.Context, uid uint32, sources []string) (results []transfer.Result, err error) {
	err = transfer.As(uid, func() error {
		kcmd, err := k.kcmd(ctx, uid)
		if err != nil {
			return err
		}
		defer kcmd.Close()
		for _, name := range sources {
			if database := k.databases[name]; database != nil {
				o := k.Options
				o.UID = uid
				r, err := transfer.Copy(database[uid], kcmd, o)
				if err != nil {
					return fmt.Errorf("cannot import %s: %w", name, err)
				}
				results = append(results, r...)
				continue
			}
			r, err := k.copy(ctx, uid, name, func(other transfer.Collection) (from, to transfer.Collection) { return other, kcmd })
			if err != nil {
				return failure{fmt.Errorf("cannot import %s: %w", name, err), exitStatus(err)}
			}
			if len(r) == 0 && k.cache == "" && !k.allUsers {
				return fail(exitNotFound, "there are no caches in %s%s", name, typeHint(name))
			}
			results = append(results, r...)
		}
		return nil
	})
	return results, err
}

// typeHint is for a name without a type, which libkrb5 takes for that of a file.
func typeHint(name string) string {
	if strings.Contains(name, ":") {
		return ""
	}
	return ", which is FILE:" + name + "; other names: DIR:PATH, KEYRING:NAME, KCM:SOCKET"
}

// exportAs copies to the target as a user.
func (k *copying) exportAs(ctx context.Context, uid uint32, target string) (results []transfer.Result, err error) {
	err = transfer.As(uid, func() error {
		kcmd, err := k.kcmd(ctx, uid)
		if err != nil {
			return err
		}
		defer kcmd.Close()
		results, err = k.copy(ctx, uid, target, func(other transfer.Collection) (from, to transfer.Collection) { return kcmd, other })
		return err
	})
	return results, err
}

// copy copies between kcmd and the other collection, in the direction that ends says.
func (k *copying) copy(ctx context.Context, uid uint32, other string, ends func(other transfer.Collection) (from, to transfer.Collection)) ([]transfer.Result, error) {
	o := k.Options
	o.UID = uid
	c, err := transfer.Open(ctx, other, uid)
	if errors.As(err, new(transfer.NameError)) {
		return nil, failure{err, exitUsage}
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	from, to := ends(c)
	return transfer.Copy(from, to, o)
}

// filePrefix begins the names of FILE caches in /tmp.
const filePrefix = "krb5cc_"

// importAll copies the files in directories, each as its owner; without directories
// those in /tmp and the persistent keyrings. What the owner of a file has chosen, as its
// name, decides nothing.
func (k *copying) importAll(ctx context.Context, directories []string) ([]transfer.Result, error) {
	if os.Geteuid() != 0 {
		return nil, fail(exitDenied, "cannot read the caches of all users; run it as root")
	}
	sources := make(map[uint32][]string)
	if len(directories) == 0 {
		directories = []string{"/tmp"}
		if err := findKeyrings(sources); err != nil {
			return nil, err
		}
	}
	for _, dir := range directories {
		if err := k.find(dir, sources); err != nil {
			return nil, err
		}
	}
	var results []transfer.Result
	for _, uid := range slices.Sorted(maps.Keys(sources)) {
		r, err := k.importAs(ctx, uid, sources[uid])
		if results = append(results, r...); err != nil {
			if ctx.Err() != nil || exitStatus(err) == exitNotRunning {
				return nil, err
			}
			// The caches of the others are to be taken in any case.
			results = append(results, transfer.Result{Source: strings.Join(sources[uid], " "), UID: uid, Outcome: transfer.Failed, Error: err.Error()})
		}
	}
	return results, nil
}

// find adds the caches in a directory, or in the database of sssd_kcm.
func (k *copying) find(place string, sources map[uint32][]string) error {
	path, found := strings.CutPrefix(place, "SSSD:")
	if !found {
		return findFiles(place, sources)
	}
	users, err := transfer.OpenSSSD(path)
	if err != nil {
		return err
	}
	k.databases = map[string]map[uint32]transfer.Collection{place: users}
	for uid := range users {
		sources[uid] = append(sources[uid], place)
	}
	return nil
}

// findFiles adds the files of each owner, those with the usual name of an only cache
// first.
func findFiles(dir string, sources map[uint32][]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filePrefix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			continue // it has just been destroyed
		}
		list := append(sources[stat.Uid], "FILE:"+path)
		if e.Name() == fmt.Sprintf("%s%d", filePrefix, stat.Uid) {
			list = append(list[len(list)-1:], list[:len(list)-1]...)
		}
		sources[stat.Uid] = list
	}
	return nil
}

// findKeyrings adds the persistent keyrings of all users.
func findKeyrings(sources map[uint32][]string) error {
	uids, err := cckeyring.Users()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without keyrings
	}
	if err != nil {
		return err
	}
	for _, uid := range uids {
		err := transfer.As(uid, func() error {
			has, err := cckeyring.HasPersistent()
			if has {
				sources[uid] = append(sources[uid], fmt.Sprintf("KEYRING:persistent:%d", uid))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("the keyrings of uid %d: %w", uid, err)
		}
	}
	return nil
}
