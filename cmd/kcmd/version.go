package main

import (
	"runtime/debug"
	"strings"
)

// release is the version of the source, equal to the one in meson.build.
const release = "0.1.0"

// version is set by the build with -ldflags "-X main.version=...".
var version string

// programVersion returns the version for --version: from the build, else from the tag
// that the go tool recorded, else from the source.
func programVersion() string {
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
