package main

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"kcmd.org/kcmd/dbus"
)

// live lists the settings that can change in a running daemon, and what applies them.
// The others need a restart.
var live = []struct {
	keys  []string
	apply func(d *daemon)
}{
	{[]string{"log_level"}, (*daemon).applyLevel},
	{[]string{"client_timeout", "default_cache"}, func(d *daemon) { d.server.Reconfigure(d.serverOptions()) }},
	{[]string{"max_connections", "max_uid_connections", "max_uid_caches", "max_cache_tickets", "max_uid_bytes", "max_bytes"}, (*daemon).applyLimits},
	{[]string{"reap_after"}, func(d *daemon) {
		d.store.SetReapAfter(d.reapAfter)
		d.reaper.Wake()
	}},
	{[]string{"expiry_warning"}, (*daemon).applyWarning},
	{[]string{"renew", "renew_parallel"}, (*daemon).applyRenewal},
	{[]string{"idle_timeout"}, func(d *daemon) {
		if d.idler != nil {
			d.idler.look()
		}
	}},
	{[]string{"keep"}, func(d *daemon) {
		d.warnKept()
		if d.keeper != nil {
			d.keeper.Set(d.keptCaches())
		}
	}},
}

// isLive reports whether a setting can change in a running daemon.
func isLive(key string) bool {
	for _, l := range live {
		if slices.Contains(l.keys, key) {
			return true
		}
	}
	return false
}

func (d *daemon) applyLevel() { d.level.Set(d.logLevel) }

// applyLimits applies the limits of what clients may hold.
func (d *daemon) applyLimits() {
	d.budgets = limits(d.config, d.log)
	d.store.SetLimits(storeLimits(d.config, d.budgets))
	d.store.SetResident(d.budgets.Collections.Whole)
	d.server.Reconfigure(d.serverOptions())
	d.applyTerms()
}

func (d *daemon) applyWarning() {
	d.applyTerms() // first: the bus shows by it what is announced
	if d.announcer != nil {
		d.announcer.SetWarning(d.expiryWarning)
	}
}

func (d *daemon) applyRenewal() {
	if d.desk == nil {
		return
	}
	d.budgets.Helpers = helperLimits(d.config)
	d.desk.SetHelpers(d.budgets.Helpers)
	d.renewer.Reconfigure(d.renewerOptions())
	d.applyTerms()
}

func (d *daemon) applyTerms() {
	if d.service != nil {
		d.service.SetTerms(d.busTerms())
	}
}

// reload reads the configuration again and applies what can change. It logs what it
// applied and what needs a restart. After an error everything stays as it is.
func (d *daemon) reload() error {
	c, err := d.read()
	if err != nil {
		d.log.Error("cannot reload the configuration, continuing with the present one", "err", oneLine(err))
		return err
	}
	applied, waiting := d.changes(c)
	level := d.level.Level()
	d.adopt(c, applied)
	for _, l := range live {
		if slices.ContainsFunc(l.keys, func(key string) bool { return applied[key] != "" }) {
			l.apply(d)
		}
	}
	d.level.Set(min(level, d.logLevel)) // logged, if either level logs it
	defer d.applyLevel()
	d.log.Info("reloaded the configuration", attributes(applied)...)
	if len(waiting) > 0 {
		d.log.Warn("a restart is needed to apply the changed settings", attributes(waiting)...)
	}
	return nil
}

// changes returns how c differs from the present configuration, by the keys of settings
// that can change in a running daemon, and of those that cannot.
func (d *daemon) changes(c *config) (applied, waiting map[string]string) {
	applied, waiting = make(map[string]string), make(map[string]string)
	for _, key := range append([]string{"keep"}, slices.Collect(maps.Keys(c.values))...) {
		before, after := d.text(key), c.text(key)
		if level := d.level.Level(); key == "log_level" && level != d.logLevel {
			before = dbus.LevelName(level) + " by D-Bus"
		}
		switch {
		case before == after:
		case isLive(key):
			applied[key] = before + " -> " + after
		default:
			waiting[key] = before + " -> " + after
		}
	}
	return applied, waiting
}

// adopt replaces the configuration by one with the applied changes of c.
func (d *daemon) adopt(c *config, applied map[string]string) {
	next := *d.config
	next.values = maps.Clone(next.values)
	for key := range applied {
		if key == "keep" {
			next.keep = c.keep
			continue
		}
		findSetting(key).set(&next, c.values[key])
		next.values[key] = c.values[key]
	}
	d.config = &next
	d.present.Store(&next)
}

// text returns the value of a setting, or the tables, for the log.
func (c *config) text(key string) string {
	var tables []string
	switch {
	case key == "keep":
		for _, k := range c.keep {
			tables = append(tables, fmt.Sprintf("%s for uid %d in %s by %s", k.principal, k.owner, k.cache, k.keytab))
		}
	case key == "socket" && c.socketTables:
		for _, s := range c.sockets {
			tables = append(tables, fmt.Sprintf("%s of %s with mode %04o", s.path, s.namespace, s.mode))
		}
	default:
		return c.values[key]
	}
	return "[" + strings.Join(tables, ", ") + "]"
}

// attributes returns changes as attributes of a log line, in order.
func attributes(changes map[string]string) (list []any) {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		list = append(list, slog.String(key, changes[key]))
	}
	return list
}
