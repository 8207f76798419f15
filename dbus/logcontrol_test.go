package dbus

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

func (c *tester) setLogControl(path godbus.ObjectPath, name string, value any) (fault string) {
	err := c.call(path, "org.freedesktop.DBus.Properties.Set", introspection.LogControl.Name, name, godbus.MakeVariant(value)).Err
	var named godbus.Error
	if errors.As(err, &named) {
		return named.Name
	}
	return ""
}

func (c *tester) logControl(name string) any {
	return must[godbus.Variant](c, view.LogControl, propertiesGet, introspection.LogControl.Name, name).Value()
}

// TestLogControl has an administrator set the log level, and nobody else.
func TestLogControl(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	var lines strings.Builder
	level := new(slog.LevelVar)
	startService(t, newStore(t), Config{
		Address: bus.address, LogLevel: level, LogTarget: "journal",
		Logger: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: level})),
	})
	root, bob := bus.connect(t), bus.connectAs(t, bobUID)
	for _, c := range []*tester{root, bob} {
		if c.logControl("LogLevel") != "info" || c.logControl("LogTarget") != "journal" || c.logControl("SyslogIdentifier") != "kcmd" {
			t.Errorf("%v, %v, %v", c.logControl("LogLevel"), c.logControl("LogTarget"), c.logControl("SyslogIdentifier"))
		}
	}
	for _, l := range logLevels {
		if got := root.setLogControl(view.LogControl, "LogLevel", l.name); got != "" || root.logControl("LogLevel") != l.name || level.Level() != l.level {
			t.Errorf("%s: %s, %v, %v", l.name, got, root.logControl("LogLevel"), level.Level())
		}
	}
	root.setLogControl(view.LogControl, "LogLevel", "warning")
	for _, bad := range []struct {
		path  godbus.ObjectPath
		name  string
		value any
		want  string
	}{
		{view.LogControl, "LogLevel", "loud", errInvalidArgs},
		{view.LogControl, "LogLevel", "", errInvalidArgs},
		{view.LogControl, "LogLevel", uint32(7), errInvalidArgs},
		{view.LogControl, "LogTarget", "kmsg", errInvalidArgs},
		{view.LogControl, "LogTarget", "journal", ""},
		{view.LogControl, "LogTarget", "auto", ""},
		{view.LogControl, "SyslogIdentifier", "x", errPropertyReadOnly},
		{view.LogControl, "Level", "info", errUnknownProperty},
		{rootPath, "LogLevel", "info", errUnknownInterface},
	} {
		if got := root.setLogControl(bad.path, bad.name, bad.value); got != bad.want {
			t.Errorf("%s = %v: %s, want %s", bad.name, bad.value, got, bad.want)
		}
	}

	if got := bob.setLogControl(view.LogControl, "LogLevel", "debug"); got != errAccessDenied {
		t.Errorf("a user: %s", got)
	}
	polkit := startPolkit(t, bus)
	polkit.says(true, false)
	if got := bob.setLogControl(view.LogControl, "LogLevel", "debug"); got != "" {
		t.Errorf("an administrator: %s", got)
	}
	if got := polkit.questions(); !strings.HasPrefix(got, actionManageAll+" ") {
		t.Errorf("asked %q", got)
	}
	if level.Level() != slog.LevelDebug {
		t.Errorf("level %v", level.Level())
	}
}
