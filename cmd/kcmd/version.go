package main

import (
	"runtime/debug"
	"strings"
)

// release is the version of the source, the same as in meson.build.
const release = "0.1.0"

// version is what the build said, with -ldflags "-X main.version=...".
var version string

// programVersion returns what --version prints: what the build said, else what the go
// tool knows of a tagged version, else the version of the source.
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
