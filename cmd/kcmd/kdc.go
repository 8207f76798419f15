package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// Values of the setting renew.
const (
	renewAll    = "yes"
	renewActive = "active" // of users who are there
	renewNone   = "no"
)

// Values of the setting kdc_helper, besides the path of a socket.
const (
	helperAuto  = "auto"
	helperChild = "child"
	helperNone  = "none"
)

// Values of the setting acquire.
const (
	acquireAuto = "auto" // on a bus of one user
	acquireYes  = "yes"
	acquireNo   = "no"
)

// acquires reports whether passwords and keytabs are taken on D-Bus. The daemon of all
// users need not see their passwords.
func (c *config) acquires() bool {
	return c.acquire == acquireYes || c.acquire == acquireAuto && c.broadcasts()
}

// A callDesk is a desk for the calls on D-Bus.
type callDesk struct{ *lifecycle.Desk }

// Acquire implements dbus.KDC.
func (d callDesk) Acquire(ctx context.Context, owner ccstore.Owner, a dbus.Acquisition) (uuid.UUID, error) {
	return d.Desk.Acquire(ctx, owner, &lifecycle.Acquisition{
		Client: a.Client, Password: lifecycle.Secret(a.Password), Keytab: lifecycle.Secret(a.Keytab),
		Cache: a.Cache, IfNeeded: a.IfNeeded,
		Ticket: kdc.TicketOptions{
			StartIn: a.StartIn, Lifetime: a.Lifetime, RenewableFor: a.RenewableFor,
			Forwardable: a.Forwardable, Proxiable: a.Proxiable, Addressless: a.Addressless, Service: a.Service,
		},
	})
}

// ChangePassword implements dbus.KDC.
func (d callDesk) ChangePassword(ctx context.Context, owner ccstore.Owner, client string, old, next dbus.Secret) error {
	return d.Desk.ChangePassword(ctx, owner, client, lifecycle.Secret(old), lifecycle.Secret(next))
}

// Verify implements dbus.KDC.
func (d callDesk) Verify(ctx context.Context, owner ccstore.Owner, cache uuid.UUID, service string, optional bool) error {
	return d.Desk.Verify(ctx, owner, cache, kdc.HostOptions{Service: service, Optional: optional})
}

// newDesk returns what has KDCs renew tickets, nil if there is no way to a KDC.
func (d *daemon) newDesk() *lifecycle.Desk {
	client := d.kdcClient()
	if client == nil {
		return nil
	}
	return lifecycle.NewDesk(d.store, lifecycle.DeskOptions{
		KDC: client, Clock: d.clock, Logger: d.log, Helpers: d.budgets.Helpers,
	})
}

// newRenewer returns the part that renews tickets.
func (d *daemon) newRenewer() *lifecycle.Renewer {
	return lifecycle.NewRenewer(d.desk, d.renewerOptions())
}

func (d *daemon) renewerOptions() lifecycle.RenewerOptions {
	o := lifecycle.RenewerOptions{Parallel: d.renewParallel, Logger: d.log, Off: d.renew == renewNone}
	if d.renew == renewActive {
		o.Active = func(owner ccstore.Owner) bool { return lifecycle.Presence{}.Active(owner.UID) }
	}
	return o
}

// kdcClient returns the way to the helper as configured, nil if there is none.
func (d *daemon) kdcClient() *kdc.Client {
	switch d.kdcHelper {
	case helperNone:
		return nil
	case helperChild:
		return kdcChild()
	case helperAuto:
	default:
		return &kdc.Client{Socket: d.kdcHelper}
	}
	if path := d.kdcSocket(); path != "" {
		if _, err := os.Stat(path); err == nil {
			return &kdc.Client{Socket: path}
		}
	}
	switch {
	case startedBySystemd():
		// The sandbox of the unit has no network, also not for children.
		d.log.Info("no tickets are renewed: kcmd-kdc.socket is not active")
		return nil
	case missingKinit():
		d.log.Info("no tickets are renewed: kinit is not installed")
		return nil
	}
	return kdcChild()
}

// kdcSocket returns the path of the socket of the helper's unit, "" if unknown.
func (c *config) kdcSocket() string {
	if !c.session {
		return "/run/kcmd/kdc.sock"
	}
	if dir := userDir("XDG_RUNTIME_DIR", ""); dir != "" {
		return filepath.Join(dir, "kcmd/kdc.sock")
	}
	return ""
}

// kdcChild returns the helper as a child process, nil if this program cannot be found.
func kdcChild() *kdc.Client {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return &kdc.Client{Command: []string{self, helperName}}
}

func missingKinit() bool {
	_, err := exec.LookPath("kinit")
	return err != nil
}

// startedBySystemd reports whether a unit executes this process.
func startedBySystemd() bool { return os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) }
