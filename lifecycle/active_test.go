package lifecycle_test

import (
	"os"
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/lifecycle"
)

// TestActive has users with sessions in several states, and with processes.
func TestActive(t *testing.T) {
	p := lifecycle.Presence{Logind: t.TempDir(), Proc: t.TempDir()}
	const ended, there, lingering, closing, unknown = 90001, 90002, 90003, 90004, 90005
	for uid, state := range map[string]string{"90001": "offline", "90002": "active", "90003": "lingering", "90004": "closing"} {
		if err := os.WriteFile(filepath.Join(p.Logind, uid), []byte("# of logind\nNAME=x\nSTATE="+state+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for uid, want := range map[uint32]bool{ended: false, there: true, lingering: true, closing: true, unknown: false, uint32(os.Geteuid()): true} {
		if got := p.Active(uid); got != want {
			t.Errorf("uid %d is active: %v, want %v", uid, got, want)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: no directories of others")
	}
	for name, uid := range map[string]int{"17": ended, "self": unknown} {
		if err := os.Mkdir(filepath.Join(p.Proc, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(p.Proc, name), uid, 0); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Active(ended) || p.Active(unknown) {
		t.Error("processes do not count")
	}
}
