// Package version knows the version of kcmd, for the programs that print it.
//
// It is a leaf: it imports nothing of kcmd. The package has one file.
package version

import (
	"runtime/debug"
	"strings"
)

// release is the version of the source, equal to the one in meson.build.
const release = "0.1.0"

// version is set by the build with -ldflags "-X kcmd.org/kcmd/version.version=...".
var version string

// Version returns the version for --version: from the build, else from the tag that
// the go tool recorded, else from the source.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			return strings.TrimPrefix(v, "v")
		}
	}
	return release
}
