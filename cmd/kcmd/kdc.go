package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"kcmd.org/kcmd/ccstore"
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
func (d *daemon) newRenewer(desk *lifecycle.Desk) *lifecycle.Renewer {
	o := lifecycle.RenewerOptions{Parallel: d.renewParallel, Logger: d.log}
	if d.renew == renewActive {
		o.Active = func(owner ccstore.Owner) bool { return lifecycle.Presence{}.Active(owner.UID) }
	}
	return lifecycle.NewRenewer(desk, o)
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
