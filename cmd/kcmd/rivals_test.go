package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEnabledRivals(t *testing.T) {
	dir := t.TempDir()
	if got := enabled(dir, rivals); got != nil {
		t.Errorf("got %v where no unit is enabled", got)
	}
	for _, link := range []string{"sockets.target.wants/sssd-kcm.socket", "multi-user.target.wants/heimdal-kcm.service", "sockets.target.wants/kcmd.socket"} {
		link = filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		// The unit of a link may be removed: systemd does not start it now, but does
		// after a new installation.
		if err := os.Symlink("/lib/systemd/system/"+filepath.Base(link), link); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := enabled(dir, rivals), []string{"sssd-kcm.socket", "heimdal-kcm.service"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Other servers do not matter for a socket with another path than the default.
func TestNoRivals(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out strings.Builder
	warnRivals([]*socket{{Listener: l}}, slog.New(slog.NewTextHandler(&out, nil)))
	if out.Len() > 0 {
		t.Error(out.String())
	}
}
