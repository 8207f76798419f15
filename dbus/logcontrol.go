package dbus

import (
	"log/slog"
	"strings"

	"kcmd.org/kcmd/introspection"
)

// logControlInterface is by what systemctl service-log-level changes the log level, until
// the daemon reads its configuration again.
var logControlInterface = &iface{
	Interface: introspection.LogControl,
	properties: func(r *reading) map[string]any {
		return map[string]any{
			"LogLevel":         LevelName(r.bus.LogLevel.Level()),
			"LogTarget":        r.bus.LogTarget,
			"SyslogIdentifier": "kcmd",
		}
	},
	setters: map[string]setter{"LogLevel": setLogLevel, "LogTarget": setLogTarget},
}

// logLevels are the names that systemd has for levels. Of those that slog does not have,
// notice is between info and warning, and from crit on nothing is logged.
var logLevels = []struct {
	name  string
	level slog.Level
}{
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"notice", slog.LevelInfo + 2},
	{"warning", slog.LevelWarn},
	{"err", slog.LevelError},
	{"crit", slog.LevelError + 4},
	{"alert", slog.LevelError + 8},
	{"emerg", slog.LevelError + 12},
}

// LevelName returns the name that systemd has for a level, or for the next one.
func LevelName(level slog.Level) string {
	for _, l := range logLevels {
		if level <= l.level {
			return l.name
		}
	}
	return logLevels[len(logLevels)-1].name
}

func setLogLevel(q *request, name string) error {
	var names []string
	for _, l := range logLevels {
		if l.name == name {
			q.bus.changeLevel(q, l.level)
			return nil
		}
		names = append(names, l.name)
	}
	return invalidArgs("log level %q is not allowed; allowed: %s", name, strings.Join(names, ", "))
}

// changeLevel sets the log level, and logs that if either level logs it.
func (b *bus) changeLevel(q *request, level slog.Level) {
	before := b.LogLevel.Level()
	b.LogLevel.Set(min(before, level))
	defer b.LogLevel.Set(level)
	b.Logger.Info("a user changes the log level", "uid", q.scope.UID, "from", LevelName(before), "to", LevelName(level))
}

// setLogTarget accepts only the present target: the log goes to standard error.
func setLogTarget(q *request, name string) error {
	if target := q.bus.LogTarget; name != target && name != "auto" {
		return invalidArgs("log target %q is not allowed; allowed: %s, auto; StandardError= of the unit decides", name, target)
	}
	return nil
}
