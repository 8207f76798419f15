// Package version knows the version of kcmd, for the programs that print it.
//
// It is a leaf: it imports nothing of kcmd. The package has one file.
package version

import (
	"runtime/debug"
)

// release is the version of the source, equal to the one in meson.build.
const release = "0.2.0"

// Set by the build with -ldflags "-X kcmd.org/kcmd/version.version=...".
var (
	version string // of a package
	commit  string
)

// Version returns the version: from the build, else from the source.
func Version() string {
	if version != "" {
		return version
	}
	return release
}

// Full returns the version and the commit, for --version. The commit is from the build,
// or else as the go tool recorded it; it may be unknown.
func Full() string {
	if commit != "" {
		return Version() + " (commit " + commit + ")"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Version()
	}
	return Version() + recorded(info.Settings)
}

// recorded returns the commit in the settings of a build, in parentheses.
func recorded(settings []debug.BuildSetting) (text string) {
	modified := ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			text = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if text == "" {
		return ""
	}
	return " (commit " + text + modified + ")"
}
